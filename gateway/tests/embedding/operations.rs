//! Asynchronous commands over HTTP: accepted, carried out later, and asked for.

use std::path::Path;

use dormouse::{Aggregate, App, Config, Context, DomainEvent, JournalUrl, Rejection, Running, Version};
use dormouse_config::CommandMode;
use dormouse_harness::{Answer, Client};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Door {
    is_open: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum DoorCommand {
    Open { by: String },
    Look {},
    Explode {},
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum DoorEvent {
    Opened { by: String },
}

impl DomainEvent for DoorEvent {}

#[derive(Debug, thiserror::Error)]
#[error("the door is open")]
struct AlreadyOpen;

impl Rejection for AlreadyOpen {
    fn code(&self) -> &'static str {
        "door-open"
    }
}

impl Aggregate for Door {
    const TYPE: &'static str = "door";
    type Command = DoorCommand;
    type Event = DoorEvent;
    type Reply = bool;
    type Rejection = AlreadyOpen;

    fn decide(&self, command: DoorCommand, context: &mut Context<Self>) -> Result<bool, AlreadyOpen> {
        match command {
            DoorCommand::Open { .. } if self.is_open => return Err(AlreadyOpen),
            DoorCommand::Open { by } => context.emit(DoorEvent::Opened { by }),
            DoorCommand::Look {} => {}
            DoorCommand::Explode {} => panic!("as commanded"),
        }
        Ok(context.state().is_open)
    }

    fn evolve(&mut self, DoorEvent::Opened { .. }: &DoorEvent) {
        self.is_open = true;
    }
}

const ASYNC: (&str, &str) = ("prefer", "respond-async");

/// An application with doors, and requests to it.
struct House(Running);

impl House {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        configure(&mut config);
        Self(App::new("house").aggregate::<Door>().start(config).await.unwrap())
    }

    /// Lets no asynchronous command be carried out, or all of them again.
    async fn paused(self, paused: bool) -> Self {
        self.0.messaging().switch("operations", |switch| switch.paused = paused).await.unwrap();
        self
    }

    async fn get(&self, path: &str) -> Answer {
        let (client, path) = (Client::new(format!("http://{}", self.0.address())), path.to_owned());
        tokio::task::spawn_blocking(move || client.get(&path)).await.unwrap().unwrap()
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let client = Client::new(format!("http://{}", self.0.address()));
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (path, body) = (path.to_owned(), body.clone());
        let posted = tokio::task::spawn_blocking(move || {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            client.post_with(&path, &headers, &body)
        });
        posted.await.unwrap().unwrap()
    }

    /// Posts a command that is answered before it is carried out, and returns the address of its operation.
    async fn accepted(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> String {
        let answer = self.post(path, headers, body).await;
        assert_eq!(answer.status, 202, "{answer}");
        let location = answer.header("location").unwrap().to_owned();
        assert_eq!(answer.json()["location"], location);
        assert_eq!(location, format!("/v1/operations/{}", answer.json()["operation"].as_str().unwrap()));
        location
    }

    async fn ended(&self, location: &str) -> Value {
        let answer = self.get(&format!("{location}?wait=20s")).await;
        assert_eq!(answer.status, 200, "{answer}");
        answer.json()
    }

    fn head(&self) -> u64 {
        self.0.engine().journal().head().borrow().0
    }
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, slug: &str) {
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(answer.json()["type"], format!("urn:dormouse:problem:{slug}"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_accepted_first_and_carried_out_later() {
    let house = House::start().await.paused(true).await;
    let posted = house.post("/v1/door/d-1/open", &[ASYNC], &json!({"by": "Ada"})).await;
    assert_eq!((posted.status, posted.header("preference-applied")), (202, Some("respond-async")));
    assert_eq!(posted.header("idempotency-replayed"), None);
    let location = posted.header("location").unwrap();
    let pending = house.get(location).await;
    assert_eq!((pending.status, pending.header("cache-control")), (200, Some("no-store")));
    let pending = pending.json();
    assert_eq!(
        (&pending["status"], &pending["aggregate"], &pending["id"], &pending["command"]),
        (&json!("pending"), &json!("door"), &json!("d-1"), &json!("open"))
    );
    assert_eq!(house.get("/v1/door/d-1").await.status, 404);

    // A wait ends when the command does.
    let waiting = house.ended(location);
    let house_runs = async { house.0.messaging().switch("operations", |switch| switch.paused = false).await.unwrap() };
    let (ended, _) = tokio::join!(waiting, house_runs);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let expected = json!({
        "aggregate": "door", "id": "d-1", "version": 1, "position": 2,
        "events": [{"type": "Opened", "version": 1}], "reply": true,
    });
    assert_eq!(ended["outcome"], expected);
    let state = house.get("/v1/door/d-1").await;
    assert_eq!(state.header("etag"), ended["etag"].as_str());
    let ended = house.get(location).await;
    assert_eq!(ended.position(), Some(2));

    // What made no events has an outcome as well.
    let looked = house.accepted("/v1/door/d-1/look", &[ASYNC], &json!({})).await;
    let looked = house.ended(&looked).await;
    assert_eq!((&looked["status"], &looked["outcome"]["reply"]), (&json!("succeeded"), &json!(true)));
    assert!(house.0.stop().await.complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_by_the_operation_as_the_command_would_have_got_it() {
    let house = House::start().await;
    for (path, headers, body) in [
        ("/v1/door/d-1/open", vec![], json!({"by": "Ada"})),
        ("/v1/door/d-1/open", vec![("if-match", "\"7\"")], json!({"by": "Ada"})),
        ("/v1/door/d-2/open", vec![("if-match", "*")], json!({"by": "Ada"})),
    ] {
        if path.contains("d-1") {
            house.post("/v1/door/d-1/open", &[], &json!({"by": "Eve"})).await;
        }
        let location = house.accepted(path, &[&[ASYNC], &headers[..]].concat(), &body).await;
        let ended = house.ended(&location).await;
        let mut synchronous = house.post(path, &headers, &body).await.json();
        assert_eq!(ended["status"], "refused", "{ended}");
        synchronous["request_id"] = ended["problem"]["request_id"].clone();
        assert_eq!(ended["problem"], synchronous);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_command_is_refused_at_once() {
    let house = House::start().await;
    let open = "/v1/door/d-1/open";
    assert_problem(&house.post(open, &[ASYNC], &json!({"by": 7})).await, 400, "invalid-body");
    assert_problem(&house.post(open, &[ASYNC], &json!({"by": "Ada", "x": 1})).await, 400, "unknown-field");
    assert_problem(&house.post("/v1/door/d-1/shut", &[ASYNC], &json!({})).await, 404, "unknown-command");
    assert_problem(&house.post("/v1/gate/d-1/open", &[ASYNC], &json!({})).await, 404, "unknown-aggregate-type");
    assert_problem(&house.post("/v1/door/d%2F1/open", &[ASYNC], &json!({})).await, 400, "invalid-aggregate-id");
    let wait = ("prefer", "respond-async, wait=soon");
    assert_problem(&house.post(open, &[wait], &json!({"by": "Ada"})).await, 400, "invalid-header");
    assert_eq!(house.head(), 0);
    // A dry run has nothing that could be done later.
    assert_eq!(house.post(&format!("{open}?dry_run=true"), &[ASYNC], &json!({"by": "Ada"})).await.status, 200);
    assert_eq!(house.head(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_gets_the_same_operation() {
    let house = House::start().await.paused(true).await;
    let (open, key) = ("/v1/door/d-1/open", ("idempotency-key", "k"));
    let location = house.accepted(open, &[ASYNC, key], &json!({"by": "Ada"})).await;
    assert_eq!(house.accepted(open, &[ASYNC, key], &json!({"by": "Ada"})).await, location);
    assert_ne!(house.accepted("/v1/door/d-2/open", &[ASYNC, key], &json!({"by": "Ada"})).await, location);
    let house = house.paused(false).await;
    assert_eq!(house.ended(&location).await["status"], "succeeded");
    let again = house.post(open, &[ASYNC, key], &json!({"by": "Ada"})).await;
    assert_eq!((again.header("location"), again.header("idempotency-replayed")), (Some(&*location), Some("true")));
    assert_problem(&house.post(open, &[ASYNC, key], &json!({"by": "Eve"})).await, 422, "key-reused");
    assert_problem(&house.post("/v1/door/d-1/look", &[ASYNC, key], &json!({})).await, 422, "key-reused");

    // The door knows the key, too.
    let outcome = house.ended(&location).await["outcome"].clone();
    assert_eq!(house.get("/v1/commands/door/d-1/k").await.json(), outcome);
    let synchronous = house.post(open, &[key], &json!({"by": "Ada"})).await;
    assert_eq!((synchronous.json(), synchronous.header("idempotency-replayed")), (outcome, Some("true")));
    // And a key that was used before is known to operations.
    house.post("/v1/door/d-3/open", &[key], &json!({"by": "Ada"})).await;
    let location = house.accepted("/v1/door/d-3/open", &[ASYNC, key], &json!({"by": "Ada"})).await;
    assert_eq!(house.ended(&location).await["outcome"]["version"], 1);
    house.post("/v1/door/d-4/open", &[key], &json!({"by": "Ada"})).await;
    let location = house.accepted("/v1/door/d-4/open", &[ASYNC, key], &json!({"by": "Eve"})).await;
    assert_eq!(house.ended(&location).await["problem"]["type"], "urn:dormouse:problem:key-reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_at_its_limit() {
    let house = House::start().await.paused(true).await;
    let location = house.accepted("/v1/door/d-1/open", &[ASYNC], &json!({"by": "Ada"})).await;
    assert_eq!(house.get(&format!("{location}?wait=50ms")).await.json()["status"], "pending");
    assert_problem(&house.get(&format!("{location}?wait=10")).await, 400, "invalid-parameter");
    let both = ("prefer", "respond-async, wait=0");
    let waited = house.post("/v1/door/d-1/open", &[both], &json!({"by": "Ada"})).await;
    assert_eq!((waited.status, waited.header("preference-applied")), (202, Some("respond-async, wait=0")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_gets_the_outcome_if_it_is_there_in_time() {
    let house = House::with(|config| config.commands.mode = CommandMode::Async).await;
    let open = "/v1/door/d-1/open";
    // Nobody asked for anything, so no preference was applied.
    let accepted = house.post("/v1/door/d-0/open", &[], &json!({"by": "Ada"})).await;
    assert_eq!((accepted.status, accepted.header("preference-applied")), (202, None));
    let opened = house.post(open, &[("prefer", "wait=20")], &json!({"by": "Ada"})).await;
    assert_eq!((opened.status, opened.header("preference-applied")), (200, Some("wait=20")));
    assert_eq!((&opened.json()["version"], &opened.json()["reply"]), (&json!(1), &json!(true)));
    assert!(opened.header("etag").is_some() && opened.position().is_some());
    let refused = house.post(open, &[("prefer", "wait=20")], &json!({"by": "Eve"})).await;
    assert_problem(&refused, 422, "rejected");
    assert_eq!(refused.json()["code"], "door-open");
    let house = house.paused(true).await;
    assert_eq!(house.post(open, &[("prefer", "wait=0")], &json!({"by": "Eve"})).await.status, 202);
    // Many commands in one request are answered when they are carried out.
    let client = Client::new(format!("http://{}", house.0.address()));
    let line = json!({"type": "door", "id": "d-2", "command": "open", "body": {"by": "Ada"}}).to_string();
    let lines = [("content-type", "application/x-ndjson")];
    let bulk =
        tokio::task::spawn_blocking(move || client.request("POST", "/v1/commands", &lines, Some(line.as_bytes())));
    let bulk = bulk.await.unwrap().unwrap();
    assert!(bulk.text().contains("\"status\":200"), "{bulk}");

    let house = House::start().await;
    let opened = house.post(open, &[("prefer", "respond-async, wait=20")], &json!({"by": "Ada"})).await;
    assert_eq!((opened.status, opened.header("preference-applied")), (200, Some("wait=20")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_whose_attempts_fail_is_dead() {
    let house = House::with(|config| config.queues.commands.tries = 1.try_into().unwrap()).await;
    let location = house.accepted("/v1/door/d-1/explode", &[ASYNC], &json!({})).await;
    let ended = house.ended(&location).await;
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("dead"), &json!("the aggregate failed while deciding")));
    // It is no outcome that the command has: an operator may have it attempted again.
    let waited = house.post("/v1/door/d-2/explode", &[("prefer", "respond-async, wait=20")], &json!({})).await;
    assert_eq!(waited.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_no_aggregates_of_the_application() {
    let house = House::start().await;
    for unknown in ["0190a000-0000-7000-8000-000000000000", "nonsense", "%00"] {
        assert_problem(&house.get(&format!("/v1/operations/{unknown}")).await, 404, "operation-not-found");
    }
    let location = house.accepted("/v1/door/d-1/open", &[ASYNC], &json!({"by": "Ada"})).await;
    house.ended(&location).await;
    let id = location.rsplit('/').next().unwrap();
    assert_problem(&house.get(&format!("/v1/dormouse-operation/{id}")).await, 404, "unknown-aggregate-type");
    let finish = house.post(&format!("/v1/dormouse-operation/{id}/begin"), &[], &json!({})).await;
    assert_problem(&finish, 404, "unknown-aggregate-type");
    for path in ["/openapi.json", "/admin/catalogue"] {
        let shown = house.get(path).await;
        assert!(shown.status == 200 && !shown.text().contains("dormouse-operation"), "{path}");
    }
    assert_eq!(house.get("/v1/events").await.json()["events"].as_array().unwrap().len(), 3);
}

async fn in_folder(folder: &Path, paused: &[&str]) -> House {
    House::with(|config| {
        config.journal.url = JournalUrl::Sqlite(folder.to_owned());
        config.listeners.paused = paused.iter().map(ToString::to_string).collect();
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_carried_out_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let house = in_folder(folder.path(), &["operations"]).await;
    let location = house.accepted("/v1/door/d-1/open", &[ASYNC], &json!({"by": "Ada"})).await;
    assert!(house.0.stop().await.complete);
    for _ in 0..2 {
        let house = in_folder(folder.path(), &[]).await;
        let ended = house.ended(&location).await;
        assert_eq!((&ended["status"], &ended["outcome"]["version"]), (&json!("succeeded"), &json!(1)));
        let doors = house.0.engine().aggregates::<Door>().unwrap();
        let door = doors.state(&dormouse::AggregateId::new("d-1").unwrap()).await.unwrap();
        assert_eq!(door.version, Version(1));
        assert!(house.0.stop().await.complete);
    }
}
