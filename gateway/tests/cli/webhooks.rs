//! Webhooks: receivers that answer, fail, hang, talk too much, send elsewhere, or do not want any more.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dormouse_harness::{Server, ServerBuilder, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SOON, restock, run, server_in};

const HUNG: Duration = Duration::from_secs(3600);

/// The time for an attempt in tests whose attempts do not run out of time: more than a busy machine needs.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Status(u16),
    Hang,
    /// A body that never ends.
    Endless(u16),
    Redirect,
    /// No HTTP.
    Garbage,
}

#[derive(Clone, Debug)]
struct Received {
    head: String,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name}: {}", self.head))
    }

    fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver that does what a test says, and keeps what it was sent.
#[derive(Clone)]
struct Receiver {
    url: String,
    /// A reply for each of the next requests. The last one is also that of all later requests.
    script: Arc<Mutex<VecDeque<Reply>>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    fn start(reply: Reply) -> Self {
        Self::playing([reply])
    }

    fn playing(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let receiver = Self { url, script, received: Arc::default() };
        let serving = receiver.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(connection.unwrap()));
            }
        });
        receiver
    }

    fn serve(&self, mut connection: TcpStream) {
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let received = Received { head: head.replace("\r\n", "\n"), body: String::new() };
        let mut body = vec![0; received.header("content-length").parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        self.received.lock().unwrap().push(Received { body: String::from_utf8(body).unwrap(), ..received });
        let reply = self.next_reply();
        let answer = match reply {
            Reply::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 3\r\n\r\nwhy"),
            Reply::Hang => return thread::sleep(HUNG),
            Reply::Endless(status) => format!("HTTP/1.1 {status} X\r\n\r\n"),
            Reply::Redirect => {
                "HTTP/1.1 302 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            Reply::Garbage => "what is HTTP?\r\n\r\n".to_owned(),
        };
        // The server may have enough of it.
        let mut is_open = connection.write_all(answer.as_bytes()).is_ok();
        while matches!(reply, Reply::Endless(_)) && is_open {
            is_open = connection.write_all(&[b'x'; 64 << 10]).is_ok();
        }
    }

    fn next_reply(&self) -> Reply {
        let mut script = self.script.lock().unwrap();
        if script.len() > 1 { script.pop_front().unwrap() } else { script[0] }
    }

    fn replies(&self, reply: Reply) {
        *self.script.lock().unwrap() = [reply].into();
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The versions of the aggregate that arrived, in order.
    fn versions(&self) -> Vec<String> {
        self.received().iter().map(|one| one.event()["dormouseversion"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn has(&self, count: usize) {
        eventually("the events arrive", SOON, || self.received().len() >= count);
    }
}

/// A server that sends to loopback, and soon again, with this time for each attempt.
fn sending(directory: &TempDir, timeout: Duration) -> ServerBuilder {
    let settings = format!(
        "[webhooks]\nallow_private = true\ntimeout = '{}s'\ntries = 1000\n[queues.default]\n\
         backoff_min = '200ms'\nbackoff_max = '200ms'\n",
        timeout.as_secs()
    );
    fs::write(directory.path().join("webhooks.toml"), settings).unwrap();
    server_in(directory.path()).arguments(["--config", "webhooks.toml"])
}

#[track_caller]
fn add(server: &Server, body: &Value) -> Value {
    let added = server.client().post("/admin/webhooks", body).unwrap();
    assert_eq!(added.status, 201, "{added}");
    assert!(added.json()["secret"].as_str().unwrap().starts_with("whsec_"));
    added.json()
}

fn path_of(webhook: &Value) -> String {
    format!("/admin/webhooks/{}", webhook["id"].as_str().unwrap())
}

fn deliveries(server: &Server, webhook: &Value) -> Vec<Value> {
    let answer = server.client().get(&format!("{}/deliveries", path_of(webhook))).unwrap();
    answer.json()["deliveries"].as_array().unwrap().clone()
}

/// Waits until the latest delivery has an error with this text.
#[track_caller]
fn fails_with(server: &Server, webhook: &Value, text: &str) {
    eventually(text, SOON, || {
        deliveries(server, webhook).first().is_some_and(|latest| latest["error"].as_str().unwrap_or("").contains(text))
    });
}

#[test]
fn an_event_is_sent_until_the_receiver_takes_it_always_with_the_same_id() {
    let directory = TempDir::new().unwrap();
    let server = sending(&directory, Duration::from_secs(2)).start();
    let receiver = Receiver::playing([
        Reply::Status(500),
        Reply::Status(500),
        Reply::Garbage,
        Reply::Hang,
        Reply::Endless(503),
        Reply::Redirect,
        Reply::Endless(204),
        Reply::Status(200),
    ]);
    let webhook = add(&server, &json!({"url": receiver.url}));
    restock(&server, 1);
    let attempts = eventually("the event is delivered", SOON, || {
        Some(deliveries(&server, &webhook)).filter(|all| all.first().is_some_and(|latest| latest["error"].is_null()))
    });
    let errors = [
        "the receiver answered 500 Internal Server Error: why",
        "the receiver answered 500 Internal Server Error: why",
        "the receiver did not answer: ",
        "the receiver did not answer within 2s",
        "503 Service Unavailable: xxx",
        "the receiver redirects (302 Found), which is not followed",
    ];
    assert_eq!(attempts.len(), errors.len() + 1, "{attempts:?}");
    for (attempt, error) in attempts.iter().rev().zip(errors) {
        assert!(attempt["error"].as_str().unwrap().contains(error), "{error}: {attempt}");
    }
    restock(&server, 2);
    eventually("the next event is delivered", SOON, || receiver.versions().last().is_some_and(|last| last == "2"));

    let received = receiver.received();
    let (first, last) = (&received[0], received.last().unwrap());
    assert!(first.head.starts_with("POST /hook?a=b HTTP/1.1\n"), "{}", first.head);
    assert_eq!(first.header("content-type"), "application/cloudevents+json");
    let event = first.event();
    assert_eq!(first.header("webhook-id"), event["id"]);
    assert_ne!(first.header("webhook-id"), last.header("webhook-id"));
    assert_eq!(received.iter().filter(|one| one.event()["id"] == event["id"]).count(), attempts.len());
    assert!(first.header("webhook-signature").starts_with("v1,"));
    assert!(first.header("webhook-timestamp").parse::<u64>().unwrap() > 1_700_000_000);
    assert_eq!(
        (&event["specversion"], &event["source"], &event["type"], &event["subject"], &event["dormouseposition"]),
        (
            &json!("1.0"),
            &json!("urn:dormouse:dormouse"),
            &json!("inventory.InventoryUpdated"),
            &json!("inventory/SKU-1"),
            &json!("1")
        )
    );
    assert!(event["data"].is_object() && event["time"].is_string(), "{event}");
}

#[test]
fn a_receiver_that_does_not_want_events_any_more_is_disabled_until_an_operator_enables_it() {
    let directory = TempDir::new().unwrap();
    let mut server = sending(&directory, TIMEOUT).start();
    let receiver = Receiver::start(Reply::Status(410));
    let webhook = add(&server, &json!({"url": receiver.url}));
    restock(&server, 1);
    let state = |server: &Server| server.client().get(&path_of(&webhook)).unwrap().json();
    eventually("it is disabled", SOON, || state(&server)["state"] == "disabled");
    assert_eq!(state(&server)["reason"], "the receiver answered 410 Gone");
    receiver.replies(Reply::Status(200));
    restock(&server, 2);
    server.kill();
    server.restart();
    assert_eq!(state(&server)["state"], "disabled");
    restock(&server, 3);
    let name = format!("webhook/{}", webhook["id"].as_str().unwrap());
    eventually("it has passed over the events", SOON, || {
        let listed = server.client().get("/admin/listeners").unwrap().json();
        listed["listeners"].as_array().unwrap().iter().any(|one| one["name"] == name && one["lag"] == 0)
    });
    let json = [("content-type", "application/json")];
    let enabled =
        server.client().request("PATCH", &path_of(&webhook), &json, Some(br#"{"state": "enabled"}"#)).unwrap();
    assert_eq!((enabled.status, &enabled.json()["state"]), (200, &json!("enabled")), "{enabled}");
    restock(&server, 4);
    eventually("the later event arrives", SOON, || receiver.versions().last().is_some_and(|last| last == "4"));
    assert!(receiver.versions().iter().all(|version| version == "1" || version == "4"), "{:?}", receiver.versions());
}

#[test]
fn a_webhook_gets_later_events_or_all_over_restarts_and_is_forgotten_when_it_is_removed() {
    let directory = TempDir::new().unwrap();
    let mut server = sending(&directory, TIMEOUT).start();
    restock(&server, 1);
    let (late, all, other) =
        (Receiver::start(Reply::Status(200)), Receiver::start(Reply::Status(200)), Receiver::start(Reply::Status(200)));
    add(&server, &json!({"url": late.url}));
    let from_beginning = add(&server, &json!({"url": all.url, "from": "beginning"}));
    let filter = json!({"types": ["order"], "events": ["OrderCreated"]});
    add(&server, &json!({"url": other.url, "filter": filter}));
    restock(&server, 2);
    late.has(1);
    all.has(2);
    all.replies(Reply::Hang);
    restock(&server, 3);
    all.has(3);
    server.kill();
    all.replies(Reply::Status(200));
    server.restart();
    restock(&server, 4);
    eventually("all arrive", SOON, || all.versions().last().is_some_and(|last| last == "4"));
    eventually("the later ones arrive", SOON, || late.versions().last().is_some_and(|last| last == "4"));
    // What was delivered shortly before the kill may have arrived twice.
    let once = |receiver: &Receiver| {
        let mut versions = receiver.versions();
        versions.sort_unstable();
        versions.dedup();
        versions
    };
    assert_eq!(
        (once(&late), once(&all)),
        (vec!["2".into(), "3".into(), "4".into()], ["1", "2", "3", "4"].map(String::from).to_vec())
    );

    let removed = server.client().request("DELETE", &path_of(&from_beginning), &[], None).unwrap();
    assert_eq!(removed.status, 200, "{removed}");
    assert_eq!(server.client().get(&path_of(&from_beginning)).unwrap().status, 404);
    restock(&server, 5);
    eventually("the other one goes on", SOON, || late.versions().last().is_some_and(|last| last == "5"));
    server.kill();
    server.restart();
    let left = server.client().get("/admin/webhooks").unwrap().json();
    assert_eq!(left["webhooks"].as_array().unwrap().len(), 2, "{left}");
    assert!(left.to_string().find("whsec_").is_none(), "secrets are shown once");
    assert_eq!(all.versions().last().unwrap(), "4");
    assert!(other.received().is_empty());
}

#[test]
fn private_addresses_are_refused_by_what_they_lead_to() {
    let directory = TempDir::new().unwrap();
    let server = server_in(directory.path()).start();
    for url in ["http://127.0.0.1:1/", "http://localhost/", "https://[::ffff:10.0.0.1]/", "http://169.254.169.254/"] {
        let refused = server.client().post("/admin/webhooks", &json!({"url": url})).unwrap();
        assert_eq!((refused.status, &refused.json()["field"]), (400, &json!("url")), "{refused}");
        assert!(refused.text().contains("webhooks.allow_private"), "{refused}");
    }
    // The resolver reads this as 127.0.0.1.
    let receiver = Receiver::start(Reply::Status(200));
    let hidden = receiver.url.replace("127.0.0.1", "2130706433");
    let webhook = add(&server, &json!({"url": hidden}));
    restock(&server, 1);
    fails_with(&server, &webhook, "which is private");
    assert!(receiver.received().is_empty());
}

#[test]
fn what_is_no_webhook_is_refused_with_the_reason() {
    let directory = TempDir::new().unwrap();
    let server = server_in(directory.path()).start();
    for (body, slug) in [
        (json!({"url": "example.org"}), "invalid-webhook"),
        (json!({"url": "https://u:p@example.org/"}), "invalid-webhook"),
        (json!({"url": "https://example.org/", "secret": "whsec_x"}), "invalid-webhook"),
        (json!({"url": "https://example.org/", "filter": {"types": ["ordr"]}}), "unknown-aggregate-type"),
        (json!({"url": "https://example.org/", "filter": {"events": ["OrderCreate"]}}), "unknown-event-type"),
        (json!({"url": "https://example.org/", "form": "now"}), "invalid-body"),
        (json!({}), "invalid-body"),
    ] {
        let refused = server.client().post("/admin/webhooks", &body).unwrap();
        assert!(refused.json()["type"].as_str().unwrap().ends_with(slug), "{body}: {refused}");
    }
    let unknown = run(&["webhooks", "remove", "x", "--yes", "--server", &server.url()]);
    assert_eq!((unknown.code, unknown.stderr.contains("there is no webhook x")), (Some(2), true), "{unknown:?}");
}

#[test]
fn operators_add_list_repeat_and_remove_webhooks() {
    let directory = TempDir::new().unwrap();
    let server = sending(&directory, TIMEOUT).start();
    let receiver = Receiver::start(Reply::Status(200));
    let webhooks = |arguments: &[&str]| run(&[&["webhooks"], arguments, &["--server", &server.url()]].concat());
    let added = webhooks(&["add", &receiver.url, "--type", "inventory", "--description", "the warehouse", "--json"]);
    assert_eq!(added.code, Some(0), "{added:?}");
    let added: Value = serde_json::from_str(&added.stdout).unwrap();
    let id = added["id"].as_str().unwrap();
    let list = webhooks(&["list"]);
    assert!(list.stdout.contains(id) && list.stdout.contains("the warehouse"), "{list:?}");
    restock(&server, 1);
    eventually("it is delivered", SOON, || !deliveries(&server, &added).is_empty());
    let shown = webhooks(&["deliveries", id]);
    assert!(shown.stdout.contains("InventoryUpdated") && shown.stdout.contains(" 200 "), "{shown:?}");

    let event = receiver.received()[0].header("webhook-id").to_owned();
    let repeated = webhooks(&["repeat", id, &event]);
    assert_eq!((repeated.code, receiver.received().len()), (Some(0), 2), "{repeated:?}");
    assert_eq!(receiver.received()[1].header("webhook-id"), event);
    receiver.replies(Reply::Status(500));
    let failed = webhooks(&["repeat", id, &event, "--position", "1"]);
    assert_eq!((failed.code, failed.stderr.contains("it was not delivered")), (Some(1), true), "{failed:?}");
    let other = webhooks(&["repeat", id, "00000000-0000-0000-0000-000000000000"]);
    assert!(other.stderr.contains("is not among the latest deliveries"), "{other:?}");

    assert!(webhooks(&["disable", id]).stdout.contains("is disabled"));
    assert!(webhooks(&["enable", id]).stdout.contains("is enabled"));
    let careful = webhooks(&["remove", id]);
    assert_eq!((careful.code, careful.stderr.contains("--yes")), (Some(2), true), "{careful:?}");
    assert_eq!(webhooks(&["remove", id, "--yes"]).stdout, format!("removed {id}\n"));
    assert!(!webhooks(&["list"]).stdout.contains(id));
}
