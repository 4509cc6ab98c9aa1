//! Documents of views by key, and reads that wait for a write.

use axum::body::Body;
use axum::http::Method;
use serde_json::json;
use std::time::Duration;

use super::operations::collect_references;
use super::read_models::{Gate, Shop};
use super::support::request;

const MIN_POSITION: &str = "dormouse-min-position";

#[tokio::test]
async fn a_read_that_names_a_write_contains_it() {
    let shop = Shop::open().await;
    let position = shop.cart("c-1", "Ada", "tea", 2).await.to_string();
    let answer = shop.get_with("/v1/views/carts/c-1", &[(MIN_POSITION, &position)]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.position(), Some("2"));
    let document = json!({
        "owner": {"name": "Ada"}, "lines": [{"sku": "tea", "quantity": 2}], "quantity": 2, "average": 2.0, "is_empty": false,
    });
    assert_eq!(answer.json(), json!({"key": "c-1", "position": 2, "document": document}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_a_read_that_names_a_write_waits_for_it() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    let gate = Gate::shut("a-read-waits");
    let position = shop.add("c-1", "a-read-waits", 1).await.to_string();
    let wait = request(Method::GET, "/v1/views/carts/c-1", &[(MIN_POSITION, &position)], Body::empty());
    let waiting = shop.begin(wait);
    let at_once = shop.get("/v1/views/carts/c-1").await;
    assert_eq!((at_once.status, &at_once.json()["document"]["quantity"]), (200, &json!(2)));
    assert_eq!(at_once.position(), Some("2"));
    assert!(!waiting.is_finished());
    drop(gate);
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, &answer.json()["document"]["quantity"]), (200, &json!(3)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_view_that_does_not_catch_up_in_time_says_how_far_it_is() {
    let shop = Shop::with(|config| {
        // Only the client's wait and the request timeout end the wait.
        config.views.wait_timeout = Duration::from_secs(3600);
        config.commands.timeout = Duration::from_secs(5);
        config.gateway.request_timeout = Duration::from_secs(6);
    })
    .await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    let _gate = Gate::shut("not-in-time");
    let position = shop.add("c-1", "not-in-time", 1).await.to_string();
    for path in ["/v1/views/carts/c-1", "/v1/views/carts/none", "/v1/views/carts"] {
        let answer = shop.get_with(path, &[(MIN_POSITION, &position), ("prefer", "wait=0")]).await;
        let problem = answer.is_problem(503, "view-behind");
        assert_eq!((&problem["position"], &problem["wanted"]), (&json!(2), &json!(3)));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // Also the longest wait is answered before the request timeout.
    let answer = shop.get_with("/v1/views/carts/c-1", &[(MIN_POSITION, &position)]).await;
    answer.is_problem(503, "view-behind");
    // The other view is not blocked.
    let owners = shop.get_with("/v1/views/owners/Ada", &[(MIN_POSITION, &position), ("prefer", "wait=10")]).await;
    assert_eq!(owners.status, 200, "{owners:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wait_is_not_longer_than_configured() {
    let shop = Shop::with(|config| config.views.wait_timeout = Duration::from_millis(1)).await;
    let _gate = Gate::shut("no-longer");
    let position = shop.cart("c-1", "Ada", "no-longer", 2).await.to_string();
    let answer = shop.get_with("/v1/views/carts/c-1", &[(MIN_POSITION, &position), ("prefer", "wait=30")]).await;
    answer.is_problem(503, "view-behind");
}

#[tokio::test]
async fn a_position_of_another_journal_is_refused_at_once() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    for path in ["/v1/views/carts/c-1", "/v1/views/carts"] {
        let beyond = request(Method::GET, path, &[(MIN_POSITION, "3")], Body::empty());
        let problem = shop.refused(beyond).await.is_problem(400, "unknown-position");
        assert_eq!((&problem["position"], &problem["wanted"]), (&json!(2), &json!(3)));
    }
}

#[tokio::test]
async fn an_invalid_position_is_refused() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    for token in ["", "x", "-1", "+1", "1.0", "1, 2", "0x1", "9223372036854775808", "99999999999999999999999"] {
        for path in ["/v1/views/carts/c-1", "/v1/views/carts"] {
            let malformed = request(Method::GET, path, &[(MIN_POSITION, token)], Body::empty());
            let problem = shop.refused(malformed).await.is_problem(400, "invalid-header");
            assert_eq!(problem["header"], "Dormouse-Min-Position", "{token}");
        }
    }
    let twice = request(Method::GET, "/v1/views/carts/c-1", &[(MIN_POSITION, "1"), (MIN_POSITION, "1")], Body::empty());
    shop.refused(twice).await.is_problem(400, "invalid-header");
    let impatient = [(MIN_POSITION, "1"), ("prefer", "wait=soon")];
    let impatient = request(Method::GET, "/v1/views/carts/c-1", &impatient, Body::empty());
    assert_eq!(shop.refused(impatient).await.is_problem(400, "invalid-header")["header"], "Prefer");
}

#[tokio::test]
async fn a_stopped_view_refuses_waits_at_once_and_still_shows_its_documents() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    shop.projections.stop().await;
    let position = shop.add("c-1", "cup", 1).await.to_string();
    let waiting = shop.get_with("/v1/views/carts/c-1", &[(MIN_POSITION, &position)]).await;
    assert_eq!(waiting.is_problem(503, "view-stopped")["position"], 2);
    let shown = shop.get_with("/v1/views/carts/c-1", &[(MIN_POSITION, "2")]).await;
    assert_eq!((shown.status, shown.position()), (200, Some("2")));
}

#[tokio::test]
async fn a_missing_document_is_not_found() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    let never = shop.get("/v1/views/carts/c-2").await;
    assert_eq!(never.is_problem(404, "document-not-found")["position"], 2);
    assert_eq!(never.position(), Some("2"));
    let cleared = shop.post("/v1/cart/c-1/clear", &json!({})).await;
    let position = cleared.header("dormouse-position").unwrap();
    let gone = shop.get_with("/v1/views/carts/c-1", &[(MIN_POSITION, position)]).await;
    assert_eq!(gone.is_problem(404, "document-not-found")["position"], 3);
    // With a slash at the end it is another address.
    shop.get("/v1/views/carts/").await.is_problem(404, "unknown-route");
    shop.get("/v1/views/carts/c-1/x").await.is_problem(404, "unknown-route");
}

#[tokio::test]
async fn a_key_may_be_any_text() {
    let shop = Shop::open().await;
    let longest = "k".repeat(1024);
    for (number, (owner, segment)) in [
        ("a/b", "a%2Fb"),
        ("ü ?", "%C3%BC%20%3F"),
        ("+", "+"),
        ("..", ".."),
        ("%", "%25"),
        ("events", "events"),
        (&longest, &longest),
    ]
    .into_iter()
    .enumerate()
    {
        let position = shop.cart(&format!("c-{number}"), owner, "tea", 1).await.to_string();
        let answer = shop.get_with(&format!("/v1/views/owners/{segment}"), &[(MIN_POSITION, &position)]).await;
        assert_eq!((answer.status, &answer.json()["key"]), (200, &json!(owner)), "{segment}");
    }
    for segment in ["%", "%4", "%zz", "%FF", "%00", &"k".repeat(1025)] {
        let path = format!("/v1/views/owners/{segment}");
        shop.refused(request(Method::GET, &path, &[], Body::empty())).await.is_problem(400, "invalid-key");
    }
}

#[tokio::test]
async fn a_client_that_has_a_document_already_gets_304() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    let path = "/v1/views/carts/c-1";
    let first = shop.get(path).await;
    let tag = first.header("etag").unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");

    // Events of other carts change the position, not the document.
    shop.cart("c-2", "Ben", "tea", 1).await;
    shop.catch_up().await;
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let unchanged = shop.get_with(path, &[("if-none-match", &known)]).await;
        assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""), "{known}");
        assert_eq!((unchanged.header("etag"), unchanged.position()), (Some(tag.as_str()), Some("4")));
        assert_eq!(unchanged.header("cache-control"), Some("no-cache"));
    }
    let other = shop.get_with(path, &[("if-none-match", "\"x\"")]).await;
    assert_eq!((other.status, &other.json()), (200, &first.json()));

    let position = shop.add("c-1", "cup", 1).await.to_string();
    let changed = shop.get_with(path, &[("if-none-match", &tag), (MIN_POSITION, &position)]).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    let missing = shop.get_with("/v1/views/carts/none", &[("if-none-match", "*")]).await;
    missing.is_problem(404, "document-not-found");
}

#[tokio::test]
async fn caches_may_keep_a_response_for_the_configured_time() {
    for (max_age, expected) in [(0, "no-cache"), (60, "public, max-age=60")] {
        let shop = Shop::with(|config| config.views.max_age = Duration::from_secs(max_age)).await;
        shop.cart("c-1", "Ada", "tea", 2).await;
        shop.catch_up().await;
        for path in ["/v1/views/carts/c-1", "/v1/views/carts", "/v1/views/carts/none"] {
            let answer = shop.get(path).await;
            assert_eq!(answer.header("cache-control"), Some(expected), "{path}");
            assert_eq!(answer.header("vary"), Some("Dormouse-Min-Position"), "{path}");
        }
    }
}

#[tokio::test]
async fn the_views_are_listed_with_their_fields() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    let fields = json!([
        {"path": "owner.name", "kind": "text"}, {"path": "quantity", "kind": "integer"},
        {"path": "average", "kind": "real"}, {"path": "is_empty", "kind": "boolean"},
    ]);
    let carts = json!({"name": "carts", "version": 1, "fields": fields, "position": 2, "state": "running"});
    let owners = json!({"name": "owners", "version": 3, "fields": [], "position": 2, "state": "running"});
    assert_eq!(shop.get("/v1/views").await.json(), json!({"views": [carts, owners]}));
}

#[tokio::test]
async fn unknown_views_and_parameters_are_refused_by_name() {
    let shop = Shop::open().await;
    for path in ["/v1/views/cart/c-1", "/v1/views/cart"] {
        assert_eq!(shop.get(path).await.is_problem(404, "unknown-view")["nearest"], "carts");
    }
    shop.get("/v1/views/%FF").await.is_problem(404, "unknown-view");
    for path in ["/v1/views/carts/c-1?version=1", "/v1/views?limit=1", "/v1/views/carts?offset=1"] {
        shop.get(path).await.is_problem(400, "unknown-parameter");
    }
    let posted = request(Method::POST, "/v1/views/carts", &[], Body::empty());
    let refused = shop.refused(posted).await;
    refused.is_problem(405, "method-not-allowed");
    assert_eq!(refused.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn views_that_do_not_answer_have_another_problem_than_the_journal() {
    let shop = Shop::open().await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.catch_up().await;
    shop.lose_the_views().await;
    for path in ["/v1/views/carts/c-1", "/v1/views/carts"] {
        let answer = shop.get(path).await;
        answer.is_problem(503, "views-unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // Commands do not need views.
    shop.add("c-1", "cup", 1).await;
    assert_eq!(shop.get("/health/ready").await.status, 200);
}

#[tokio::test]
async fn queries_are_measured_by_their_names() {
    let shop = Shop::with(|config| config.views.slow_after = Duration::ZERO).await;
    shop.cart("c-1", "Ada", "tea", 2).await;
    shop.cart("c-2", "Ben", "tea", 2).await;
    shop.catch_up().await;
    for path in ["/v1/views/carts/c-1", "/v1/views/carts/none", "/v1/views/carts", "/v1/views/owners?limit=1"] {
        shop.get(path).await;
    }
    // These requests are refused before a view is read.
    shop.get("/v1/views/carts?limit=0").await.is_problem(400, "invalid-parameter");
    let metrics = shop.get("/metrics").await.text;
    for line in [
        r#"cqrs_query_duration_count{query_type="GetCarts"} 2"#,
        r#"cqrs_query_duration_count{query_type="GetAllCarts"} 1"#,
        r#"cqrs_query_result_count_sum{query_type="GetCarts"} 1"#,
        r#"cqrs_query_result_count_sum{query_type="GetAllCarts"} 2"#,
        r#"cqrs_query_result_count_sum{query_type="GetAllOwners"} 1"#,
        r#"cqrs_slow_queries_total{query_type="GetCarts"} 2"#,
        r#"cqrs_slow_queries_total{query_type="GetOwners"} 0"#,
    ] {
        assert!(metrics.lines().any(|printed| printed == line), "{line} is missing in {metrics}");
    }
}

#[tokio::test]
async fn a_quick_query_is_not_counted_as_slow() {
    let shop = Shop::with(|config| config.views.slow_after = Duration::from_secs(3600)).await;
    shop.get("/v1/views/carts/none").await.is_problem(404, "document-not-found");
    let metrics = shop.get("/metrics").await.text;
    assert!(metrics.contains(r#"cqrs_slow_queries_total{query_type="GetCarts"} 0"#), "{metrics}");
}

#[tokio::test]
async fn the_description_has_the_views_with_their_documents() {
    let shop = Shop::open().await;
    let api = shop.get("/openapi.json").await.json();
    let one = &api["paths"]["/v1/views/carts/{key}"]["get"];
    let item = &one["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(item["properties"]["document"]["$ref"], "#/components/schemas/Content");
    assert!(api["components"]["schemas"]["Content"]["properties"]["owner"].is_object());
    let list = &api["paths"]["/v1/views/carts"]["get"];
    let filter = &list["parameters"][1];
    assert_eq!((&filter["name"], &filter["schema"]), (&json!("filter[quantity]"), &json!({"type": "integer"})));
    assert!(api["paths"]["/v1/views"].is_object());

    let mut references = Vec::new();
    collect_references(&api, &mut references);
    for reference in references {
        assert!(api.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}
