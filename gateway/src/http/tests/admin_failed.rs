//! Dead letters: listed, shown, retried, skipped and flushed.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use super::letters::Office;
use super::support::{Answer, request};

async fn act(office: &Office, path: &str) -> Answer {
    office.send(request(Method::POST, path, &[], Body::empty())).await
}

/// Letters that cannot be delivered, one for each id. Returns the ids of their jobs.
async fn dead_letters(office: &Office, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(office.write(&format!("l-{number}"), &format!("bad {number}")).await.to_string());
    }
    office.has_dead(count as u64).await;
    ids
}

fn ids(page: &Value) -> Vec<&str> {
    page["failed"].as_array().unwrap().iter().map(|failed| failed["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn dead_letters_are_listed_with_their_last_error_page_by_page() {
    let office = Office::open().await;
    let dead = dead_letters(&office, 3).await;
    for path in ["/admin/failed?limit=2", "/admin/failed?listener=handler/post&limit=2"] {
        let first = office.get(path).await.json();
        assert_eq!((ids(&first), &first["dead"]), (vec![dead[0].as_str(), dead[1].as_str()], &json!(3)), "{path}");
        let second = office.get(first["next"].as_str().unwrap()).await.json();
        assert_eq!((ids(&second), &second["next"]), (vec![dead[2].as_str()], &Value::Null), "{path}: {second}");
    }
    let failed = office.get("/admin/failed").await.json()["failed"][0].clone();
    for (member, expected) in [
        ("listener", json!("handler/post")),
        ("sequence", json!("letter/l-0")),
        ("version", json!(1)),
        ("event", json!("Written")),
        ("state", json!("dead")),
        ("due", Value::Null),
        ("attempts", json!(1)),
        ("attempts_allowed", json!(1)),
        ("error", json!("bad 0 cannot be delivered")),
    ] {
        assert_eq!(failed[member], expected, "{member}");
    }
    assert!(failed["failed_at"].as_str().unwrap().ends_with('Z') && failed.get("failures").is_none(), "{failed}");
    let none = office.get("/admin/failed?listener=reactor/copies").await.json();
    assert_eq!((&none["failed"], &none["dead"], &none["next"]), (&json!([]), &json!(0), &Value::Null));
}

#[tokio::test]
async fn a_job_is_shown_with_every_attempt_and_its_event() {
    let office = Office::open().await;
    let id = dead_letters(&office, 1).await.remove(0);
    let path = format!("/admin/failed/handler%2Fpost/{id}");
    act(&office, &format!("{path}/retry")).await.json();
    office.has_dead(1).await;
    let shown = office.get(&path).await.json();
    let errors: Vec<&Value> = shown["failures"].as_array().unwrap().iter().map(|failure| &failure["error"]).collect();
    assert_eq!(errors, ["bad 0 cannot be delivered", "bad 0 cannot be delivered"]);
    assert_eq!((&shown["attempts"], &shown["attempts_allowed"]), (&json!(2), &json!(2)));
    assert_eq!(shown["content"]["data"], json!({"text": "bad 0"}), "{shown}");

    // A job behind it can be shown as well, and is in no list.
    let behind = office.write("l-0", "good").await;
    office.has_dead(1).await;
    let shown = office.get(&format!("/admin/failed/handler%2Fpost/{behind}")).await.json();
    assert_eq!((&shown["state"], &shown["failures"], &shown["error"]), (&json!("blocked"), &json!([]), &Value::Null));
    assert_eq!(ids(&office.get("/admin/failed").await.json()), [id.as_str()]);
}

#[tokio::test]
async fn a_retried_dead_letter_is_followed_by_what_waits_behind_it() {
    let office = Office::open().await;
    let id = dead_letters(&office, 1).await.remove(0);
    for text in ["second", "third"] {
        office.write("l-0", text).await;
    }
    office.write("other", "passes").await;
    office.has_dead(1).await;
    assert_eq!(office.delivered(), ["passes"]);
    office.mend();
    let retried = act(&office, &format!("/admin/failed/handler%2Fpost/{id}/retry")).await.json();
    assert_eq!(retried, json!({"listener": "handler/post", "id": id, "retried": true}));
    office.has_dead(0).await;
    assert_eq!(office.delivered(), ["passes", "bad 0", "second", "third"]);
    act(&office, &format!("/admin/failed/handler%2Fpost/{id}/retry")).await.is_problem(404, "job-not-found");
}

#[tokio::test]
async fn a_skipped_dead_letter_is_never_done_and_what_waits_behind_it_goes_on() {
    let office = Office::open().await;
    let id = dead_letters(&office, 1).await.remove(0);
    let behind = office.write("l-0", "second").await;
    office.has_dead(1).await;
    for action in ["retry", "skip"] {
        let path = format!("/admin/failed/handler%2Fpost/{behind}/{action}");
        act(&office, &path).await.is_problem(409, "wrong-job-state");
    }
    let skipped = act(&office, &format!("/admin/failed/handler%2Fpost/{id}/skip")).await.json();
    assert_eq!(skipped, json!({"listener": "handler/post", "id": id, "skipped": true}));
    office.has_dead(0).await;
    assert_eq!(office.delivered(), ["second"]);
    act(&office, &format!("/admin/failed/handler%2Fpost/{id}/skip")).await.is_problem(404, "job-not-found");
}

#[tokio::test]
async fn many_dead_letters_are_retried_page_by_page_and_none_twice() {
    let office = Office::open().await;
    dead_letters(&office, 4).await;
    // They fail again, and are not taken again for that.
    let first = act(&office, "/admin/failed/retry?limit=3").await.json();
    assert_eq!(first["done"], 3, "{first}");
    office.has_dead(4).await;
    office.mend();
    let second = act(&office, first["next"].as_str().unwrap()).await.json();
    assert_eq!((&second["done"], &second["next"]), (&json!(1), &Value::Null), "{second}");
    office.has_dead(3).await;
    assert_eq!(office.delivered(), ["bad 3"]);
    let rest = act(&office, "/admin/failed/retry?listener=handler/post").await.json();
    assert_eq!((&rest["done"], &rest["left"], &rest["next"]), (&json!(3), &json!(0), &Value::Null), "{rest}");
    office.has_dead(0).await;
    assert_eq!(office.delivered().len(), 4);
}

#[tokio::test]
async fn many_dead_letters_are_flushed_page_by_page() {
    let office = Office::open().await;
    dead_letters(&office, 5).await;
    let path = "/admin/failed/flush?listener=handler/post&limit=2";
    let first = act(&office, path).await.json();
    assert_eq!((&first["done"], &first["left"]), (&json!(2), &json!(3)), "{first}");
    let second = act(&office, first["next"].as_str().unwrap()).await.json();
    assert_eq!((&second["done"], &second["left"]), (&json!(2), &json!(1)), "{second}");
    let third = act(&office, second["next"].as_str().unwrap()).await.json();
    assert_eq!(third, json!({"done": 1, "left": 0, "next": null}));
    assert_eq!(act(&office, path).await.json(), json!({"done": 0, "left": 0, "next": null}));
    office.has_dead(0).await;
    assert_eq!(office.delivered(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wrong_place_or_limit_is_refused() {
    let office = Office::open().await;
    for id in ["x", "-1", "1.", "1.x", "handler%2Fpost"] {
        office.get(&format!("/admin/failed/handler%2Fpost/{id}")).await.is_problem(400, "invalid-job-id");
    }
    office.get("/admin/failed/handler%2Fpost/77").await.is_problem(404, "job-not-found");
    for query in ["limit=0", "limit=1001", "after=7", "after=handler/post:x", "listener=handler/post&after=x"] {
        office.get(&format!("/admin/failed?{query}")).await.is_problem(400, "invalid-parameter");
    }
    office.get("/admin/failed?after=nobody:7").await.is_problem(404, "unknown-listener");
    office.get("/admin/failed?of=handler/post").await.is_problem(400, "unknown-parameter");
    for action in ["retry", "flush"] {
        for limit in [0, 501] {
            let refused = act(&office, &format!("/admin/failed/{action}?limit={limit}")).await;
            refused.is_problem(400, "invalid-parameter");
        }
    }
}
