//! The academy: progress in lessons, and what follows from it.

use dormouse::demo;
use serde_json::{Value, json};

use super::{World, is, problem};

fn academy() -> World {
    World::start(demo::app(), |config, _| config.modules.enabled = vec!["academy".to_owned()])
}

fn progress(score: f64) -> Value {
    json!({"score": score, "timeSpent": 180})
}

#[test]
fn a_completed_lesson_unlocks_the_next_one_and_moves_the_streak() {
    let world = academy();
    let lessons = json!([{"id": "l-1"}, {"id": "l-2", "prerequisites": ["l-1"]}]);
    world.post("/v1/course/rust/create-course", &json!({"title": "Rust", "lessons": lessons}));
    world.state("the lessons belong to the course", "/v1/course/rust", |course| course["pending"] == json!([]));
    world.post("/v1/enrolment/rust:ada/enrol", &json!({"course": "rust", "user": "ada"}));
    let enrolment = "/v1/enrolment/rust:ada";
    world.state("the enrolment begins", enrolment, |enrolment| enrolment["unlocked"] == json!(["l-1"]));

    let recorded = world.post_as("ada", "/lessons/progress/l-1", &progress(0.85));
    assert_eq!(recorded.status, 200, "{recorded}");
    let reply = json!({"completed": true, "best_score": 0.85, "attempts": 1, "total_time_spent_seconds": 180});
    assert_eq!(recorded.json(), reply);
    let unlocked = |enrolment: &Value| enrolment["unlocked"] == json!(["l-1", "l-2"]);
    world.state("the next lesson is unlocked", enrolment, unlocked);
    world.state("the streak begins", "/v1/user/ada", |user| user["streak"] == 1);

    let written = [("dormouse-min-position", recorded.header("dormouse-position").unwrap())];
    let summary = world.client.request("GET", "/v1/views/user-progress-summary/ada", &written, None).unwrap().json();
    let summary = &summary["document"];
    for (field, value) in [
        ("total_lessons", json!(1)),
        ("completed_lessons", json!(1)),
        ("average_score", json!(0.85)),
        ("total_time_spent_minutes", json!(3)),
    ] {
        assert_eq!(summary[field], value, "{field}: {summary}");
    }
    assert!(summary["last_activity"].is_string(), "{summary}");
    world.document("the streak is on the board", "/v1/views/streak-board/ada", |streak| streak["streak"] == 1);
    let half = |progress: &Value| progress["percent"] == 50;
    world.document("half of the course is done", "/v1/views/course-progress/rust:ada", half);
    world.post_as("ada", "/lessons/progress/l-2", &progress(1.0));
    world.state("the course is completed", enrolment, |enrolment| enrolment["status"] == "completed");
}

#[test]
fn progress_is_that_of_the_caller() {
    let world = academy();
    let nobody = world.client.post("/lessons/progress/l-1", &progress(0.5)).unwrap();
    assert_eq!(problem(&nobody), is(401, "unauthenticated"));
    assert_eq!(nobody.header("www-authenticate"), Some("Dormouse-Subject"));
    let proxied = [("dormouse-subject", "ada"), ("x-forwarded-for", "192.0.2.1")];
    let proxied = world.client.post_with("/lessons/progress/l-1", &proxied, &progress(0.5)).unwrap();
    assert_eq!(problem(&proxied), is(403, "subject-refused"));
    assert_eq!(world.post_as("ada", "/lessons/progress/l-1", &progress(0.5)).status, 200);
    let events = world.get("/v1/lesson-progress/ada:l-1/events").json();
    assert_eq!(events["events"][0]["metadata"]["subject"], "ada", "{events}");
    assert_eq!(problem(&world.get("/v1/lesson-progress/bob:l-1")), is(404, "not-found"));
}

#[test]
fn a_repeated_report_counts_once() {
    let world = academy();
    let send = |score| {
        let headers = [("dormouse-subject", "ada"), ("idempotency-key", "r-1")];
        world.client.post_with("/lessons/progress/l-1", &headers, &progress(score)).unwrap()
    };
    let (first, again) = (send(0.5), send(0.5));
    assert_eq!((first.json(), again.header("idempotency-replayed")), (again.json(), Some("true")));
    assert_eq!(again.json()["attempts"], 1);
    assert_eq!(problem(&send(0.9)), is(422, "key-reused"));
}

#[test]
fn wrong_progress_is_refused_with_the_reason() {
    let world = academy();
    let refused = |lesson: &str, body: &Value| {
        let answer = world.post_as("ada", &format!("/lessons/progress/{lesson}"), body);
        let field = |name: &str| answer.json()[name].as_str().unwrap_or_default().to_owned();
        let (status, slug) = problem(&answer);
        (status, slug, field("code") + &field("field") + &field("parameter"))
    };
    let expected = |status, slug: &str, what: &str| (status, slug.to_owned(), what.to_owned());
    assert_eq!(refused("l-1", &progress(1.5)), expected(422, "rejected", "score-out-of-range"));
    assert_eq!(refused("l%3A1", &progress(0.5)), expected(400, "invalid-path", "lesson"));
    assert_eq!(refused("l-1", &json!({"score": 0.5})), expected(400, "invalid-body", "timeSpent"));
    let more = json!({"score": 0.5, "timeSpent": 1, "user": "bob"});
    assert_eq!(refused("l-1", &more), expected(400, "unknown-field", "user"));
    let long = json!({"score": 0.5, "timeSpent": 86_401});
    assert_eq!(refused("l-1", &long), expected(422, "rejected", "time-spent-too-long"));
    let name = "u".repeat(65);
    let answer = world.post_as(&name, "/lessons/progress/l-1", &progress(0.5));
    assert_eq!((problem(&answer), answer.json()["code"].clone()), (is(422, "rejected"), json!("invalid-user-id")));
}
