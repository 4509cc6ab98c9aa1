//! Health, metrics and descriptions, for operators, probes and tools.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use dormouse_engine::Lifecycle;
use dormouse_journal::Options;
use serde_json::{Value, json};

use super::support::{Cart, Server, request};
use crate::http::{RESERVED_TYPES, Unroutable, check};

#[tokio::test]
async fn a_healthy_server_reports_ok() {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    let health = server.get("/health").await;
    assert_eq!((health.status, health.header("cache-control")), (200, Some("no-store")));
    let body = health.json();
    assert_eq!(
        (&body["status"], &body["database"], &body["eventStore"]),
        (&json!("ok"), &json!("connected"), &json!("ready"))
    );
    assert!(body["timestamp"].as_str().unwrap().ends_with('Z'));
    let checks = body["checks"].as_object().unwrap();
    let names: Vec<&str> = checks.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["aggregates", "cache", "database", "event-store", "modules", "projections", "queues", "runtime"]
    );
    assert_eq!(checks["event-store"]["head"], 3);
    assert_eq!(checks["aggregates"], json!({"status": "ok", "live": 1, "quarantined": 0}));
    for path in
        ["live", "ready", "aggregates", "database", "event-store", "modules", "projections", "queues", "runtime"]
    {
        let answer = server.get(&format!("/health/{path}")).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("ok")), "{path}");
    }
    let unknown = server.get("/health/databse").await.is_problem(404, "unknown-health-component");
    assert_eq!(unknown["nearest"], "database");
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_does_not_answer_is_down() {
    let server = Server::start().await;
    server.shut_gate();
    let database = server.get("/health/database").await;
    assert_eq!((database.status, &database.json()["connection"]), (503, &json!("silent")));
    let health = server.get("/health").await;
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("down")));
    assert_eq!(server.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn a_server_that_will_stop_is_not_ready_but_serves() {
    let server = Server::start().await;
    server.engine.leave();
    let ready = server.get("/health/ready").await;
    assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("leaving")));
    assert_eq!(ready.json()["checks"]["runtime"], json!({"status": "degraded", "lifecycle": "leaving"}));
    let health = server.get("/health").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("degraded")));
    assert_eq!(server.get("/health/live").await.status, 200);

    server.fill_cart("c-1").await;
    for path in ["/v1/cart/c-1", "/v1/cart/c-1?version=1", "/v1/cart/c-1/events"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    // An aggregate that fails meanwhile can still be released.
    server.post("/v1/cart/c-1/explode", &json!({})).await.is_problem(500, "aggregate-failed");
    assert_eq!(server.post("/v1/cart/c-1/look", &json!({})).await.status, 200);

    assert!(server.engine.drain(Duration::from_secs(10)).await.complete);
    server.engine.leave();
    assert_eq!(server.get("/health/ready").await.json()["checks"]["runtime"]["lifecycle"], "stopped");
}

#[tokio::test]
async fn a_server_that_stops_is_alive_but_not_ready() {
    let server = Server::start().await;
    server.shut_gate();
    let create = request(
        Method::POST,
        "/v1/cart/c-1/create-cart",
        &[("content-type", "application/json")],
        Body::from("{\"owner\":\"A\"}"),
    );
    let first = server.begin(create);
    server.has_under_way(1).await;
    let drained = tokio::spawn({
        let engine = server.engine.clone();
        async move { engine.drain(Duration::from_secs(10)).await }
    });
    let mut lifecycle = server.engine.lifecycle();
    lifecycle.wait_for(|lifecycle| *lifecycle == Lifecycle::Draining).await.unwrap();
    let ready = server.get("/health/ready").await;
    assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("draining")));
    assert_eq!(server.get("/health/live").await.status, 200);
    assert_eq!(server.get("/health/runtime").await.json()["lifecycle"], "draining");
    let refused = server.post("/v1/cart/c-2/create-cart", &json!({"owner": "Ada"})).await;
    refused.is_problem(503, "draining");
    assert!(refused.header("retry-after").is_some());
    server.open_gate();
    assert_eq!(first.await.unwrap().status, 200);
    drained.await.unwrap();
    assert_eq!(server.head(), 1);
    let health = server.get("/health").await;
    assert_eq!((health.status, &health.json()["eventStore"]), (503, &json!("closed")));
}

#[tokio::test]
async fn a_commit_that_takes_too_long_makes_the_server_unready_and_refuses_commands_until_it_ends() {
    let options = Options { patience: Duration::from_millis(50), ..Options::default() };
    let server = Server::with_journal(options, |_| {}).await;
    let ready = async || server.get("/health/ready").await;
    assert_eq!(ready().await.status, 200);
    server.shut_gate();
    let body = Body::from(json!({"owner": "Ada"}).to_string());
    let json_body = [("content-type", "application/json")];
    let held = server.begin(request(Method::POST, "/v1/cart/held/create-cart", &json_body, body));
    let unready = loop {
        let answer = ready().await;
        if answer.status == 503 {
            break answer.json();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(unready["checks"]["event-store"]["writer"], "stalled");
    assert!(unready["checks"]["event-store"]["reason"].as_str().unwrap().starts_with("no commit"), "{unready}");
    let refused = server.post("/v1/cart/other/create-cart", &json!({"owner": "Ada"})).await;
    refused.is_problem(503, "journal-unavailable");
    assert!(refused.header("retry-after").is_some());

    server.open_gate();
    assert_eq!(held.await.unwrap().status, 200);
    while ready().await.status != 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.post("/v1/cart/other/create-cart", &json!({"owner": "Ada"})).await.status, 200);
}

#[tokio::test]
async fn a_quarantined_aggregate_is_listed_and_can_be_released() {
    let server = Server::with(|config| config.supervision.restarts = 0).await;
    server.post("/v1/cart/a%20b/explode", &json!({})).await.is_problem(500, "aggregate-failed");
    let mut answer = server.post("/v1/cart/a%20b/look", &json!({})).await;
    for _ in 0..100 {
        if answer.status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer = server.post("/v1/cart/a%20b/look", &json!({})).await;
    }
    answer.is_problem(503, "quarantined");
    assert_eq!(answer.header("retry-after"), None);
    assert!(!answer.text.contains("secret"));
    let listed = server.get("/admin/quarantine").await.json();
    assert_eq!(listed["quarantined"][0]["aggregate"], "cart");
    assert_eq!(listed["quarantined"][0]["id"], "a b");
    assert!(listed["quarantined"][0]["reason"].is_string());
    let health = server.get("/health").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("degraded")));

    let release = |path: &str| request(Method::POST, path, &[], Body::empty());
    let released = server.send(release("/admin/aggregates/cart/a%20b/release")).await;
    assert_eq!((released.status, &released.json()["released"]), (200, &json!(true)));
    assert_eq!(server.get("/admin/quarantine").await.json(), json!({"quarantined": []}));
    assert_eq!(server.post("/v1/cart/a%20b/create-cart", &json!({"owner": "Ada"})).await.status, 200);
    server.refused(release("/admin/aggregates/cart/a%20b/release")).await.is_problem(404, "not-quarantined");
    server.refused(release("/admin/aggregates/kart/a/release")).await.is_problem(404, "unknown-aggregate-type");
    server.refused(release("/admin/aggregates/cart/a%2Fb/release")).await.is_problem(400, "invalid-aggregate-id");
}

#[tokio::test]
async fn metrics_are_text_for_prometheus() {
    let server = Server::start().await;
    let answer = server.get("/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
}

#[tokio::test]
async fn the_description_is_openapi_and_every_reference_in_it_leads_somewhere() {
    let server = Server::start().await;
    let answer = server.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let api = answer.json();
    assert_eq!((&api["openapi"], &api["info"]["title"]), (&json!("3.1.0"), &json!("shop")));

    let mut references = Vec::new();
    collect_references(&api, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(api.pointer(pointer).is_some(), "{reference} leads nowhere");
    }

    let mut ids = std::collections::HashSet::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(["get", "post", "patch", "delete"].contains(&method.as_str()), "{path}: {method}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{path}: its id is taken");
            assert!(operation["responses"].as_object().unwrap().values().all(Value::is_object), "{path}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let parameters: Vec<&Value> = parameters
                .iter()
                .map(|parameter| api.pointer(parameter["$ref"].as_str().unwrap().strip_prefix('#').unwrap()).unwrap())
                .collect();
            assert!(parameters.iter().all(|parameter| parameter["schema"].is_object()), "{path}");
            let mut declared: Vec<&str> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let mut used: Vec<&str> =
                path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).collect();
            declared.sort_unstable();
            used.sort_unstable();
            assert_eq!(declared, used, "{path}");
        }
    }
}

pub(super) fn collect_references<'v>(value: &'v Value, references: &mut Vec<&'v str>) {
    match value {
        Value::Object(object) => {
            references.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| collect_references(value, references));
        }
        Value::Array(array) => array.iter().for_each(|value| collect_references(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn every_command_is_described_by_its_own_schema() {
    let server = Server::start().await;
    let api = server.get("/openapi.json").await.json();
    let body = |segment: &str| &api["paths"][format!("/v1/cart/{{id}}/{segment}")]["post"]["requestBody"];
    let schema = |segment: &str| &body(segment)["content"]["application/json"]["schema"];
    assert_eq!(schema("create-cart")["properties"]["owner"]["type"], "string");
    assert_eq!(schema("create-cart")["required"], json!(["owner"]));
    assert_eq!(schema("create-cart")["description"], "Creates a cart.");
    assert_eq!(schema("add-lines")["properties"]["lines"]["items"]["$ref"], "#/components/schemas/Line");
    assert_eq!((&body("add-lines")["required"], &body("clear")["required"]), (&json!(true), &json!(false)));
    assert_eq!(schema("clear")["additionalProperties"], false);
    let example = &body("add-lines")["content"]["application/json"]["example"];
    assert_eq!(*example, json!({"lines": [{"sku": "text", "quantity": 0}]}));
    let answer = &api["paths"]["/v1/cart/{id}/clear"]["post"]["responses"]["200"]["content"]["application/json"];
    assert_eq!(answer["schema"]["properties"]["reply"]["$ref"], "#/components/schemas/CartReply");
    let line = &api["components"]["schemas"]["Line"]["properties"];
    assert_eq!(line["sku"]["description"], "The article.");
}

#[tokio::test]
async fn every_example_is_a_body_that_its_command_takes() {
    let server = Server::start().await;
    let api = server.get("/openapi.json").await.json();
    for segment in ["create-cart", "add-lines", "clear", "look"] {
        let operation = &api["paths"][format!("/v1/cart/{{id}}/{segment}")]["post"];
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        let answer = server.post(&format!("/v1/cart/c-1/{segment}"), example).await;
        assert_eq!(answer.status, 200, "{segment}: {answer:?}");
    }
}

#[tokio::test]
async fn every_described_path_is_routed() {
    let server = Server::start().await;
    let api = server.get("/openapi.json").await.json();
    for (path, methods) in api["paths"].as_object().unwrap() {
        let (path, method) =
            (path.replace("{type}", "cart").replace("{component}", "runtime"), methods.as_object().unwrap());
        for name in method.keys() {
            let path = path.replace(['{', '}'], "");
            let answer = server.send(request(name.to_uppercase().parse().unwrap(), &path, &[], Body::empty())).await;
            let kind = answer.text.split("urn:dormouse:problem:").nth(1).filter(|_| answer.status >= 400);
            let is_routed = answer.status != 405 && !kind.unwrap_or_default().starts_with("unknown-route");
            assert!(is_routed, "{name} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_page_for_people_loads_nothing_from_other_hosts() {
    let server = Server::start().await;
    let page = server.get("/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    for outside in ["http://", "https://", "src=", "@import", "url(", "innerHTML", "document.write", "eval("] {
        assert!(!page.text.contains(outside), "{outside}");
    }
}

#[test]
fn a_type_whose_commands_share_an_address_is_refused() {
    use dormouse_kernel::{Aggregate, Context, DomainEvent};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    assert_eq!(check::<Cart>(), Ok(()));
    assert!(RESERVED_TYPES.is_sorted());

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    enum Event {}

    impl DomainEvent for Event {}

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Twice {
        AddLine,
        #[serde(rename = "add_line")]
        Again,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    enum Reserved {
        Events,
    }

    macro_rules! aggregate {
        ($name:ident, $type:literal, $command:ty) => {
            #[derive(Clone, Default, Serialize, Deserialize)]
            struct $name;

            impl Aggregate for $name {
                const TYPE: &'static str = $type;
                type Command = $command;
                type Event = Event;
                type Reply = ();
                type Rejection = std::convert::Infallible;

                fn decide(&self, _: $command, _: &mut Context<Self>) -> Result<(), std::convert::Infallible> {
                    Ok(())
                }

                fn evolve(&mut self, _: &Event) {}
            }
        };
    }

    aggregate!(Views, "views", Twice);
    aggregate!(Ambiguous, "ambiguous", Twice);
    aggregate!(Hidden, "hidden", Reserved);
    aggregate!(Own, "dormouse-order", Twice);
    assert_eq!(check::<Own>(), Err(Unroutable::ReservedPrefix("dormouse-order")));
    assert_eq!(check::<Views>(), Err(Unroutable::ReservedType("views")));
    assert!(
        check::<Ambiguous>()
            .unwrap_err()
            .to_string()
            .contains("AddLine and add_line would both have the address /add-line")
    );
    assert!(check::<Hidden>().unwrap_err().to_string().contains("/events"));
}
