//! The audit log of a server: what is recorded before it takes effect, what is noted, and what happens if the log cannot be
//! written.

use std::fs;

use dormouse_audit::{Action, AuditLog, Entry, Filter, Key, Outcome, RecordError, StoredEntry, Who, entries, verify};
use dormouse_config::Config;
use dormouse_harness::{Answer, TokenIssuer, eventually, telegram_init_data};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::access::{Guarded, concrete, operations};
use super::{SOON, is, problem};

/// A server that authenticates its callers and keeps an audit log.
struct Site {
    guarded: Guarded,
    place: TempDir,
}

impl Site {
    fn start(configure: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(TempDir::new().unwrap(), configure)
    }

    fn start_in(place: TempDir, configure: impl FnOnce(&mut Config)) -> Self {
        let (directory, key) = (place.path().join("audit"), place.path().join("audit.key"));
        let guarded = Guarded::start(|config| {
            config.audit.enabled = true;
            (config.audit.directory, config.audit.key) = (directory, key);
            configure(config);
        });
        Self { guarded, place }
    }

    fn send(&self, method: &str, path: &str, roles: Option<&[&str]>, body: &str) -> Answer {
        self.guarded.send(method, path, roles, body)
    }

    fn entries(&self) -> Vec<StoredEntry> {
        entries(&self.place.path().join("audit"), Filter::default()).unwrap().map(Result::unwrap).collect()
    }

    /// The entries of the request with this answer, once there are so many. Notes arrive later than answers.
    #[track_caller]
    fn entries_of(&self, answer: &Answer, count: usize) -> Vec<StoredEntry> {
        let id = answer.header("x-request-id").unwrap();
        eventually("the entries are written", SOON, || {
            let found = self.entries().into_iter().filter(|stored| stored.entry.request_id.as_deref() == Some(id));
            let found: Vec<_> = found.collect();
            (found.len() >= count).then_some(found)
        })
    }
}

#[test]
fn every_described_change_by_an_operator_is_recorded_before_it_is_made_and_with_its_outcome() {
    let site = Site::start(|_| {});
    let document = site.send("GET", "/openapi.json", None, "").json();
    let mut changes = 0;
    for (method, path, operation) in operations(&document) {
        if method == "GET" || !path.starts_with("/admin/") {
            continue;
        }
        changes += 1;
        let what = format!("{method} {path}");
        let answer = site.send(&method, &concrete(&path), Some(&["admin"]), "{}");
        let found: Vec<_> =
            site.entries_of(&answer, 2).into_iter().filter(|stored| stored.entry.action != Action::Login).collect();
        let outcomes: Vec<_> = found.iter().map(|stored| (stored.entry.outcome, stored.entry.status)).collect();
        let outcome = if answer.status < 400 { Outcome::Done } else { Outcome::Failed };
        assert_eq!(outcomes, [(Outcome::Intended, None), (outcome, Some(answer.status))], "{what}: {answer}");
        for StoredEntry { entry, .. } in found {
            assert_eq!(entry.action, Action::AdminAction, "{what}");
            assert_eq!(entry.operation.as_deref(), operation["operationId"].as_str(), "{what}");
            assert_eq!(entry.target, Some(format!("{method} {}", concrete(&path))), "{what}");
            assert_eq!(entry.who.subject.as_deref(), Some("ada"), "{what}");
            assert_eq!(entry.who.issuer.as_deref(), Some("https://issuer.test"), "{what}");
            assert_eq!(entry.who.peer, Some("127.0.0.1".parse().unwrap()), "{what}");
        }
    }
    assert!(changes > 20, "{changes}");
    // Reads are not recorded, and an address that does not exist is recorded as such.
    let read = site.send("GET", "/admin/projections", Some(&["admin"]), "");
    let unknown = site.send("POST", "/admin/projections/orders/pause/x", Some(&["admin"]), "");
    assert_eq!((read.status, unknown.status), (200, 404));
    let paused = site.send("POST", "/admin/projections/orders/pause", Some(&["admin"]), "");
    assert_eq!(site.entries_of(&paused, 2).len(), 2);
    let of_read = |stored: &&StoredEntry| stored.entry.request_id.as_deref() == read.header("x-request-id");
    let entries = site.entries();
    assert!(entries.iter().filter(of_read).all(|stored| stored.entry.action == Action::Login), "{entries:?}");
}

#[test]
fn the_entry_of_a_change_says_what_was_changed_and_no_secret() {
    let site = Site::start(|_| {});
    let details = |method: &str, path: &str, body: Value| {
        let answer = site.send(method, path, Some(&["admin"]), &body.to_string());
        let entry = site.entries_of(&answer, 2).pop().unwrap().entry;
        (answer.status, serde_json::to_value(entry.details).unwrap())
    };
    assert_eq!(
        details("PATCH", "/admin/config", json!({"cache": {"entries": 7}})),
        (200, json!({"keys": "cache.entries", "cache.entries": "5000 -> 7"}))
    );
    assert_eq!(
        details("PATCH", "/admin/config", json!({"journal": {"url": "postgres://a:hunter2@db/x"}})),
        (400, json!({"keys": "journal.url", "problem": "not-live"}))
    );
    assert_eq!(
        details("POST", "/admin/cache/clear", json!({"views": ["orders"]})),
        (200, json!({"views": r#"["orders"]"#}))
    );
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let hook = json!({"url": "https://example.org/hunter2", "secret": secret, "from": "now"});
    let (status, added) = details("POST", "/admin/webhooks", hook);
    assert!(status == 201 && added["location"].as_str().unwrap().starts_with("/admin/webhooks/"), "{added}");
    assert_eq!((&added["from"], added.as_object().unwrap().len()), (&json!("now"), 2), "{added}");
    let log = fs::read_to_string(site.place.path().join("audit/audit-000001.jsonl")).unwrap();
    assert!(!log.contains("hunter2") && !log.contains(secret) && !log.contains("example.org"), "{log}");
}

/// Fills the log in a directory up to its limit.
fn fill(place: &TempDir, max_bytes: u64) {
    Runtime::new().unwrap().block_on(async {
        let log = AuditLog::open(&place.path().join("audit"), &place.path().join("audit.key"), max_bytes).unwrap();
        let entry = Entry::new(Action::AdminAction, Who::default(), Outcome::Done);
        let entry = (0..12).fold(entry, |entry, number| entry.with(&number.to_string(), "x".repeat(256)));
        while log.record(entry.clone()).await.is_ok() {}
        // What is left is smaller than any entry.
        let small = Entry::new(Action::AdminAction, Who::default(), Outcome::Done);
        let full = loop {
            if let Err(error) = log.record(small.clone()).await {
                break error;
            }
        };
        assert_eq!(full, RecordError::Full { max_bytes });
        log.close().await;
    });
}

#[test]
fn a_log_that_cannot_be_written_refuses_changes_by_operators_and_no_commands() {
    const MAX_BYTES: u64 = 1 << 20;
    let place = TempDir::new().unwrap();
    fill(&place, MAX_BYTES);
    let site = Site::start_in(place, |config| config.audit.max_size = format!("{MAX_BYTES} B").parse().unwrap());
    let refused = site.send("POST", "/admin/projections/orders/pause", Some(&["admin"]), "");
    assert_eq!(problem(&refused), is(503, "audit-unavailable"));
    assert!(refused.header("retry-after").is_some());
    let state = site.send("GET", "/admin/projections/orders", Some(&["admin"]), "").json();
    assert_eq!(state["state"], "running", "nothing was changed: {state}");
    let before = site.send("GET", "/admin/config", Some(&["admin"]), "").json()["config"]["cache"]["entries"].clone();
    let change = json!({"cache": {"entries": 7}}).to_string();
    assert_eq!(site.send("PATCH", "/admin/config", Some(&["admin"]), &change).status, 503);
    let after = site.send("GET", "/admin/config", Some(&["admin"]), "").json()["config"]["cache"]["entries"].clone();
    assert_eq!(before, after);

    let command = json!({"change": 1, "reason": "delivery"}).to_string();
    let path = "/v1/inventory/tea/update-inventory";
    assert_eq!(site.send("POST", path, Some(&["admin"]), &command).status, 200);
    assert_eq!(site.send("POST", path, Some(&["nobody"]), &command).status, 403);
    assert_eq!(site.send("GET", "/v1/inventory/tea", Some(&["admin"]), "").status, 200);
    let metrics = site.send("GET", "/metrics", Some(&["admin"]), "").text();
    let failures = metrics.lines().find_map(|line| line.strip_prefix("dormouse_audit_failures_total "));
    assert!(failures.is_some_and(|count| count.parse::<u64>().unwrap() >= 2), "{metrics}");
}

#[test]
fn logins_and_refused_callers_are_noted_without_their_tokens() {
    const BOT: &str = "123456:token-of-the-bot";
    let own = TokenIssuer::new("own");
    fs::write(own.directory().join("bot"), BOT).unwrap();
    let site = Site::start(|config| {
        config.auth.token_key = own.private_key();
        config.auth.telegram.bot_token = own.directory().join("bot");
    });
    let client = &site.guarded.world.client;
    let get = |path: &str, token: &str| {
        client.request("GET", path, &[("authorization", &format!("Bearer {token}"))], None).unwrap()
    };
    let note = |answer: &Answer| {
        let entry = site.entries_of(answer, 1).pop().unwrap().entry;
        let who = entry.who;
        assert_eq!(who.peer, Some("127.0.0.1".parse().unwrap()));
        (entry.action, who.subject, entry.target.unwrap(), entry.status, entry.details)
    };
    let token = site.guarded.issuer.token("grace", &["inventory_viewer"]);
    let first = get("/v1/views/inventory?limit=1", &token);
    let target = "GET /v1/views/inventory".to_owned();
    let subject = Some("grace".to_owned());
    assert_eq!(note(&first), (Action::Login, subject.clone(), target, None, [].into()));

    let denied = get("/v1/views/orders", &token);
    let (action, who, _, status, details) = note(&denied);
    assert_eq!((action, who, status), (Action::CallerDenied, subject, Some(403)));
    assert_eq!(details["permission"], "queries.GetAllOrders");
    let forged = TokenIssuer::new("k-1").token("mallory", &["admin"]);
    let refused = get("/v1/order/o-1?access_token=secret-in-a-query", &forged);
    let (action, who, target, status, details) = note(&refused);
    assert_eq!((action, who, status), (Action::CallerRefused, None, Some(401)));
    assert_eq!(
        (target.as_str(), details["reason"].as_str()),
        ("GET /v1/order/o-1", "the signature of the token is wrong")
    );
    assert_eq!(note(&site.send("GET", "/v1/order/o-1", None, "")).0, Action::CallerRefused);

    let login = |data: &str| client.post("/v1/auth/telegram", &json!({"init_data": data})).unwrap();
    let made = login(&telegram_init_data(BOT, 42));
    let (action, subject, ..) = note(&made);
    assert_eq!((action, subject.as_deref()), (Action::TokenIssued, Some("telegram:42")));
    assert_eq!(note(&login(&telegram_init_data("654321:another", 42))).0, Action::CallerRefused);

    let again = get("/v1/views/inventory", &token);
    let entries = site.entries();
    let of_again = |stored: &&StoredEntry| stored.entry.request_id.as_deref() == again.header("x-request-id");
    assert!(!entries.iter().any(|stored| of_again(&stored)), "a login is noted once");
    let log = fs::read_to_string(site.place.path().join("audit/audit-000001.jsonl")).unwrap();
    let own_token = made.json()["token"].as_str().unwrap().to_owned();
    for secret in [&token, &forged, &own_token, &BOT.to_owned(), &"secret-in-a-query".to_owned()] {
        assert!(!log.contains(&secret[secret.len() - 16..]), "{secret}");
    }
}

#[test]
fn a_caller_that_reaches_for_what_is_anothers_is_noted() {
    let site = Site::start(|_| {});
    let order = json!({"customer": "Ada", "email": "ada@example.org",
        "lines": [{"sku": "tea", "quantity": 1, "unit_price_cents": 5}]});
    let as_user = |subject: &str, path: &str, content_type: &str, body: &str| {
        let authorization = format!("Bearer {}", site.guarded.issuer.token(subject, &["user"]));
        let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
        site.guarded.world.client.request("POST", path, &headers, Some(body.as_bytes())).unwrap()
    };
    let json_type = "application/json";
    assert_eq!(as_user("ada", "/v1/order/o-1/create-order", json_type, &order.to_string()).status, 200);
    let denied = as_user("bob", "/v1/order/o-1/confirm-order", json_type, "{}");
    assert_eq!(problem(&denied), is(403, "forbidden"));
    let entry = site.entries_of(&denied, 2).pop().unwrap().entry;
    assert_eq!((entry.action, entry.who.subject.as_deref()), (Action::CallerDenied, Some("bob")));

    let lines = [
        json!({"type": "order", "id": "o-1", "command": "ConfirmOrder"}),
        json!({"type": "inventory", "id": "tea", "command": "update-inventory", "body": {"change": 1, "reason": "x"}}),
    ];
    let bulk = as_user("bob", "/v1/commands", "application/x-ndjson", &lines.map(|line| format!("{line}\n")).concat());
    let mut noted: Vec<_> =
        site.entries_of(&bulk, 2).into_iter().map(|stored| stored.entry.details["line"].clone()).collect();
    noted.sort_unstable();
    assert_eq!(noted, ["inventory/tea update-inventory", "order/o-1 confirm-order"]);
}

#[test]
fn operators_read_the_log_page_by_page_and_its_head() {
    let site = Site::start(|_| {});
    for _ in 0..3 {
        assert_eq!(site.send("POST", "/admin/cache/clear", Some(&["admin"]), "").status, 200);
    }
    let get = |path: &str| {
        let answer = site.send("GET", path, Some(&["admin"]), "");
        assert_eq!(answer.status, 200, "{path}: {answer}");
        answer.json()
    };
    let sequences = |page: &Value| {
        let entries = page["entries"].as_array().unwrap().iter();
        entries.map(|entry| entry["sequence"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    // The start, the login, and the changes; the login may be written a moment later than the first change.
    let all =
        eventually("the login is written", SOON, || Some(get("/admin/audit")).filter(|all| sequences(all).len() == 8));
    assert_eq!(sequences(&all), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((all["entries"][0]["action"].clone(), all["next"].clone()), (json!("server-started"), Value::Null));
    let first = get("/admin/audit?limit=5&subject=ada");
    assert_eq!(sequences(&first), [2, 3, 4, 5, 6]);
    let next = get(first["next"].as_str().unwrap());
    assert_eq!((sequences(&next), next["next"].clone()), (vec![7, 8], Value::Null));
    assert!(sequences(&get("/admin/audit?since=2100-01-01T00:00:00Z")).is_empty());
    for wrong in ["since=yesterday", "limit=0", "after=x", "from=1"] {
        assert_eq!(site.send("GET", &format!("/admin/audit?{wrong}"), Some(&["admin"]), "").status, 400, "{wrong}");
    }
    let head = get("/admin/audit/head")["head"].as_str().unwrap().parse().unwrap();
    let key = Key::load(&site.place.path().join("audit.key")).unwrap();
    let verified = verify(&site.place.path().join("audit"), &key, Some(head), |_| {}).unwrap();
    assert_eq!(verified.head.sequence, 8);

    let without = Guarded::start(|_| {});
    for path in ["/admin/audit", "/admin/audit/head"] {
        assert_eq!(problem(&without.send("GET", path, Some(&["admin"]), "")), is(404, "no-audit-log"));
    }
    assert_eq!(without.send("POST", "/admin/cache/clear", Some(&["admin"]), "").status, 200);
}
