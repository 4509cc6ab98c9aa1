//! Every operation that takes a role with `own:`, by the owner and by somebody else with the same role.
//!
//! The operations come from the description. A new one fails the test until this file has something of Bert's for it.

use std::collections::BTreeMap;

use dormouse_harness::{Answer, eventually};
use serde_json::{Value, json};

use super::SOON;
use super::access::{Guarded, operations};

const BERT: &str = "bert";
const ADA: &str = "ada";

/// A name that nobody has.
const NOBODY: &str = "nobody";

/// What Bert has: the beginning of its address in the description, and Bert's names in it.
const BERTS: [(&str, &[&str]); 15] = [
    ("/v1/assessment-attempt/{id}", &["a-bert"]),
    ("/v1/backup/{id}", &["b-bert"]),
    ("/v1/commands/order/{id}/{key}", &["o-bert", "key-of-bert"]),
    ("/v1/enrolment/{id}", &["rust:bert"]),
    ("/v1/lesson-progress/{id}", &["bert:l-1"]),
    ("/v1/order/{id}", &["o-bert"]),
    ("/v1/site/{id}", &["s-bert"]),
    ("/v1/tenant/{id}", &["bert"]),
    ("/v1/user/{id}", &["bert"]),
    ("/v1/views/backups/{key}", &["b-bert"]),
    ("/v1/views/course-progress/{key}", &["rust:bert"]),
    ("/v1/views/orders/{key}", &["o-bert"]),
    ("/v1/views/sites/{key}", &["s-bert"]),
    ("/v1/views/streak-board/{key}", &["bert"]),
    ("/v1/views/user-progress-summary/{key}", &["bert"]),
];

/// The body of a command.
fn body(command: &str) -> Value {
    match command {
        "add-line" => json!({"sku": "tea", "quantity": 1, "unit_price_cents": 5}),
        "answer" => json!({"question": "q-1", "choice": "a"}),
        "change-time-zone" => json!({"time_zone": "Europe/Berlin"}),
        "create-order" => json!({"customer": "a customer", "email": "customer@example.org",
            "lines": [{"sku": "tea", "quantity": 1, "unit_price_cents": 5}]}),
        "create-site" => json!({"domain": "bert.example", "site_type": "static", "tenant": BERT}),
        "create-tenant" => json!({"name": "a tenant", "contact": "tenant@example.org"}),
        "enrol" => json!({"course": "rust", "user": BERT}),
        "record-progress" => json!({"user": BERT, "lesson": "l-1", "score": 0.5, "time_spent_seconds": 1}),
        "register-user" => json!({"name": "a learner"}),
        "start-attempt" => json!({"assessment": "exam", "user": BERT}),
        _ => json!({}),
    }
}

/// The application with something of Bert's for each rule.
struct Owned {
    guarded: Guarded,
    /// The address of an operation of Bert's.
    operation: String,
}

impl Owned {
    fn start() -> Self {
        let owned = Self { guarded: Guarded::start(|_| {}), operation: String::new() };
        let lessons = json!([{"id": "l-1"}]);
        owned.done(&owned.ask(
            ADA,
            "admin",
            "POST",
            "/v1/course/rust/create-course",
            &[],
            &json!({"title": "Rust", "lessons": lessons}),
        ));
        owned.wait_for("/v1/course/rust", |course| course["state"]["pending"] == json!([]));
        for (role, path) in [
            ("learner", "/v1/user/bert/register-user"),
            ("learner", "/v1/enrolment/rust:bert/enrol"),
            ("learner", "/v1/lesson-progress/bert:l-1/record-progress"),
            ("learner", "/v1/assessment-attempt/a-bert/start-attempt"),
            ("tenant", "/v1/tenant/bert/create-tenant"),
            ("tenant", "/v1/site/s-bert/create-site"),
        ] {
            owned.done(&owned.command(BERT, role, path, &[]));
        }
        let key = [("idempotency-key", "key-of-bert")];
        owned.done(&owned.command(BERT, "user", "/v1/order/o-bert/create-order", &key));
        owned.wait_for("/v1/site/s-bert", |site| site["state"]["status"] == "provisioned");
        owned.done(&owned.ask(
            ADA,
            "admin",
            "POST",
            "/v1/backup/b-bert/create-backup",
            &[],
            &json!({"site": "s-bert"}),
        ));
        owned.wait_for("/v1/backup/b-bert", |backup| backup["state"]["tenant"] == BERT);
        for (address, names) in BERTS.iter().filter(|(address, _)| address.starts_with("/v1/views/")) {
            owned.wait_for(&named(address, names), |document| document["document"].is_object());
        }
        let asynchronous =
            owned.command(BERT, "user", "/v1/order/o-bert/confirm-order", &[("prefer", "respond-async")]);
        let operation = asynchronous.json()["location"].as_str().unwrap().to_owned();
        Self { operation, ..owned }
    }

    /// Sends a request of somebody with one role.
    fn ask(
        &self,
        subject: &str,
        role: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let token = format!("Bearer {}", self.guarded.issuer.token(subject, &[role]));
        let own = [("authorization", token.as_str()), ("content-type", "application/json")];
        let body = (method != "GET").then(|| body.to_string());
        let headers = [&own[..], headers].concat();
        self.guarded.world.client.request(method, path, &headers, body.as_deref().map(str::as_bytes)).unwrap()
    }

    /// Sends a command with a body that fits it.
    fn command(&self, subject: &str, role: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let name = path.rsplit('/').next().unwrap_or_default();
        self.ask(subject, role, "POST", path, headers, &body(name))
    }

    #[track_caller]
    fn done(&self, answer: &Answer) {
        assert_eq!(answer.status / 100, 2, "{answer}");
    }

    #[track_caller]
    fn wait_for(&self, path: &str, is_so: impl Fn(&Value) -> bool) {
        eventually(path, SOON, || {
            let answer = self.ask(ADA, "admin", "GET", path, &[], &json!({}));
            (answer.status == 200 && is_so(&answer.json())).then_some(())
        });
    }

    /// The roles with `own:` of each permission.
    fn own_roles(&self) -> BTreeMap<String, String> {
        let shown = self.ask(ADA, "admin", "GET", "/admin/permissions", &[], &json!({})).json();
        let own = |one: &Value| {
            let name = format!("{}.{}", one["section"].as_str()?, one["name"].as_str()?);
            let roles = one["roles"].as_array()?.iter().filter_map(Value::as_str);
            let role = roles.filter_map(|role| role.strip_prefix("own:")).next()?;
            Some((name, role.replace('*', "user")))
        };
        shown["permissions"].as_array().unwrap().iter().filter_map(own).collect()
    }

    /// The addresses for an operation: what is Bert's, and what is nobody's.
    #[track_caller]
    fn addresses(&self, path: &str) -> (String, String) {
        if path == "/v1/operations/{operation}" {
            return (self.operation.clone(), "/v1/operations/01900000-0000-7000-8000-000000000000".to_owned());
        }
        let beginning = |(address, _): &&(&str, &[&str])| {
            path.strip_prefix(address).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (address, names) = BERTS
            .iter()
            .find(beginning)
            .unwrap_or_else(|| panic!("{path} takes `own:`, and nothing of Bert's is there"));
        let nobody: Vec<&str> = names.iter().map(|_| NOBODY).collect();
        let rest = &path[address.len()..];
        (named(address, names) + rest, named(address, &nobody) + rest)
    }
}

/// An address of the description with names in place of its parameters.
fn named(address: &str, names: &[&str]) -> String {
    let mut names = names.iter();
    let part = |part: &str| match part.starts_with('{') {
        true => names.next().map_or_else(String::new, ToString::to_string),
        false => part.to_owned(),
    };
    address.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// What an answer says, without what differs in each.
fn essence(answer: &Answer, names: &[String]) -> (u16, String) {
    let mut body = answer.json();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
        body.remove("position");
    }
    let text = names.iter().fold(body.to_string(), |text, name| text.replace(name.as_str(), "NAME"));
    (answer.status, text)
}

#[test]
fn every_operation_for_ones_own_is_for_the_owner_alone() {
    let owned = Owned::start();
    let roles = owned.own_roles();
    let document = owned.ask(ADA, "admin", "GET", "/openapi.json", &[], &json!({})).json();
    let mut count = 0;
    for (method, path, operation) in operations(&document) {
        let Some(role) = operation["x-permission"].as_str().and_then(|permission| roles.get(permission)) else {
            continue;
        };
        count += 1;
        let what = format!("{method} {path} as {role}");
        let send = |subject: &str, address: &str| match method.as_str() {
            "POST" => owned.command(subject, role, address, &[]),
            _ => owned.ask(subject, role, &method, address, &[], &json!({})),
        };
        if !path.contains('{') {
            // A list: each sees its own.
            let (bert, ada) = (send(BERT, &path), send(ADA, &path));
            assert_eq!((bert.status, ada.status), (200, 200), "{what}");
            assert!(bert.text().contains(BERT), "{what}: {bert}");
            assert!(!ada.text().contains(BERT), "{what}: {ada}");
            continue;
        }
        let (theirs, nobodys) = owned.addresses(&path);
        let is_refused = |answer: &Answer| [403, 404].contains(&answer.status);
        let refused = send(ADA, &theirs);
        assert!(is_refused(&refused), "{what}: {refused}");
        let names: Vec<String> = theirs.split('/').chain(nobodys.split('/')).map(str::to_owned).collect();
        let names: Vec<String> =
            names.into_iter().filter(|name| name.contains(BERT) || name == NOBODY || name.contains("-7")).collect();
        if method == "GET" {
            assert_eq!(
                essence(&refused, &names),
                essence(&send(ADA, &nobodys), &names),
                "{what}: it tells that it exists"
            );
        }
        let answer = send(BERT, &theirs);
        assert!(answer.status != 401 && !is_refused(&answer), "{what}: its owner gets {answer}");
    }
    assert!(count > 30, "{count} operations take a role with `own:`");
}
