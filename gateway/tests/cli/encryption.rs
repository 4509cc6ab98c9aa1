//! Encryption at rest, as operators use it. The tests search all files and tables for personal values. They forget a
//! person, and replace a wrapping key.

use std::fs;
use std::path::{Path, PathBuf};

use dormouse_harness::{Postgres, Server, ServerBuilder, TokenIssuer, eventually, telegram_init_data};
use memchr::memmem;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Ended, SOON, run_in, server_in};

/// Values of two persons. No other test stores them.
const ADA: [&str; 2] = ["Ada Lovelace of Ockham Park", "ada.lovelace@ockham.example"];
const GRACE: [&str; 2] = ["Grace Hopper of Arlington", "grace.hopper@arlington.example"];

/// A server that encrypts, and where it stores its data.
struct Site {
    directory: TempDir,
    settings: Vec<String>,
    server: Server,
    /// Where PostgreSQL has its files, and a URL to ask it.
    postgres: Option<(PathBuf, String)>,
}

impl Site {
    fn start(mode: &str, is_on_postgres: bool) -> Self {
        let directory = TempDir::new().unwrap();
        let mut settings = vec![
            "keys.file=secrets/wrapping.keys".to_owned(),
            "keys.url=sqlite://./keys".to_owned(),
            format!("journal.encryption={mode}"),
            "webhooks.allow_private=true".to_owned(),
            "webhooks.tries=1".to_owned(),
            "snapshots.strategy=every_n".to_owned(),
            "snapshots.threshold=1".to_owned(),
        ];
        let postgres = is_on_postgres.then(|| {
            let (postgres, url) = (Postgres::shared(), Postgres::shared().create_database());
            settings.push(format!("journal.url={url}"));
            (PathBuf::from(postgres.query(&url, "SHOW data_directory")), url)
        });
        fs::create_dir(directory.path().join("secrets")).unwrap();
        let made = run_in(directory.path(), &["encryption", "add-key", "--set", &settings[0]]);
        assert_eq!(made.code, Some(0), "{made:?}");
        let server = settings.iter().fold(server_in(directory.path()), ServerBuilder::set).start();
        Self { directory, settings, server, postgres }
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ended {
        let ended = run_in(self.directory.path(), arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended
    }

    /// Runs a command with the settings of the server.
    #[track_caller]
    fn run_beside(&self, arguments: &[&str]) -> Ended {
        let settings = self.settings.iter().flat_map(|set| ["--set", set]);
        self.run(&arguments.iter().copied().chain(settings).collect::<Vec<_>>())
    }

    #[track_caller]
    fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
        let answer = self.server.client().post_with(path, headers, body).unwrap();
        assert!(matches!(answer.status, 200 | 202), "{path}: {answer}");
        answer.json()
    }

    fn get(&self, path: &str) -> Value {
        self.server.client().get(path).unwrap().json()
    }

    /// A webhook whose receiver does not exist: each event becomes a dead letter, or waits behind one.
    fn add_webhook(&self) -> String {
        let webhook = self.server.client().post("/admin/webhooks", &json!({"url": "http://127.0.0.1:1/"})).unwrap();
        assert_eq!(webhook.status, 201, "{webhook}");
        format!("webhook/{}", webhook.json()["id"].as_str().unwrap())
    }

    /// What operators see of a person in the events that the webhook could not deliver.
    fn dead_letters(&self, webhook: &str, person: &str) -> Vec<Value> {
        let operate = |arguments: &[&str]| -> Value {
            let at_server = ["--json", "--server", &self.server.url()];
            let ended = self.run(&arguments.iter().copied().chain(at_server).collect::<Vec<_>>());
            serde_json::from_str(&ended.stdout).unwrap()
        };
        let failed = operate(&["failed", "list", webhook]);
        let seen = [("user", "name"), ("order", "email"), ("tenant", "contact")].map(|(kind, field)| {
            let of = format!("{kind}/{person}");
            let letter = failed.as_array().unwrap().iter().find(|letter| letter["sequence"] == *of)?;
            let shown = operate(&["failed", "show", webhook, letter["id"].as_str().unwrap()]);
            Some(shown["content"]["data"][field].clone())
        });
        seen.into_iter().flatten().collect()
    }

    /// A user, an order and a tenant have the values of a person. One command is asynchronous.
    fn store(&self, person: &str, [name, email]: [&str; 2]) {
        self.post(&format!("/v1/user/{person}/register-user"), &[("Idempotency-Key", "k-1")], &json!({ "name": name }));
        let order = json!({
            "customer": "a customer", "email": email,
            "lines": [{"sku": "tea", "quantity": 1, "unit_price_cents": 350}],
        });
        let asynchronous = [("Prefer", "respond-async"), ("Idempotency-Key", "k-2")];
        let accepted = self.post(&format!("/v1/order/{person}/create-order"), &asynchronous, &order);
        let operation = format!("{}?wait=10s", accepted["location"].as_str().unwrap());
        assert_eq!(self.get(&operation)["status"], "succeeded");
        self.post(&format!("/v1/tenant/{person}/create-tenant"), &[], &json!({ "name": "a tenant", "contact": email }));
        for (view, field) in [("streak-board", "name"), ("orders", "email")] {
            let path = format!("/v1/views/{view}/{person}");
            eventually("the view has it", SOON, || (!self.get(&path)["document"][field].is_null()).then_some(()));
        }
    }

    /// What clients see of a person.
    fn seen(&self, person: &str) -> Vec<Value> {
        let state = |path: &str, field: &str| self.get(&format!("/v1/{path}/{person}"))["state"][field].clone();
        let first = |kind: &str, field: &str| {
            self.get(&format!("/v1/{kind}/{person}/events"))["events"][0]["data"][field].clone()
        };
        let view = |name: &str, field: &str| self.get(&format!("/v1/views/{name}/{person}"))["document"][field].clone();
        vec![
            state("user", "name"),
            first("user", "name"),
            view("streak-board", "name"),
            state("order", "email"),
            first("order", "email"),
            view("orders", "email"),
            state("tenant", "contact"),
            first("tenant", "contact"),
        ]
    }

    fn forget(&self, person: &str) -> Value {
        let mut certified = Value::Null;
        for kind in ["user", "order", "tenant"] {
            let subject = format!("{kind}/{person}");
            let ended = self.run(&["forget", &subject, "--yes", "--json", "--server", &self.server.url()]);
            certified = serde_json::from_str(&ended.stdout).unwrap();
            assert_eq!(certified["destroyed"], 1, "{subject}: {certified}");
        }
        certified
    }

    /// The files and directories that have one of these values. The logs of the server are not data.
    fn files_with(&self, values: &[&str]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        search(self.directory.path(), values, &mut found);
        if let Some((directory, url)) = &self.postgres {
            Postgres::shared().query(url, "CHECKPOINT");
            search(directory, values, &mut found);
        }
        found.retain(|path| !path.ends_with("postgresql.log"));
        found
    }

    fn stop(&mut self) {
        self.server.terminate();
        assert!(self.server.wait(SOON).success());
    }
}

fn search(directory: &Path, values: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, values, found);
        } else {
            // A file that PostgreSQL has just removed has nothing.
            let bytes = fs::read(&path).unwrap_or_default();
            if values.iter().any(|value| memmem::find(&bytes, value.as_bytes()).is_some()) {
                found.push(path);
            }
        }
    }
}

fn nothing_personal_is_stored_and_who_is_forgotten_is_forgotten_everywhere(mode: &str, is_on_postgres: bool) {
    let mut site = Site::start(mode, is_on_postgres);
    let webhook = site.add_webhook();
    site.store("ada", ADA);
    site.store("grace", GRACE);
    let [name, email] = ADA;
    assert_eq!(site.seen("ada"), [name, name, name, email, email, email, email, email]);
    let all: Vec<&str> = ADA.into_iter().chain(GRACE).collect();
    let letters = eventually("the dead letters", SOON, || {
        Some(site.dead_letters(&webhook, "ada")).filter(|letters| letters.len() == 3)
    });
    assert_eq!(letters, [name, email, email]);
    assert_eq!(site.files_with(&all), [] as [PathBuf; 0], "while the server runs");
    site.forget("ada");
    let forgotten = json!({ "forgotten": true });
    assert_eq!(site.seen("ada"), vec![forgotten.clone(); 8]);
    assert_eq!(site.dead_letters(&webhook, "ada"), vec![forgotten.clone(); 3]);
    let [name, email] = GRACE;
    assert_eq!(site.seen("grace"), [name, name, name, email, email, email, email, email]);
    site.stop();
    assert_eq!(site.files_with(&all), [] as [PathBuf; 0], "after the server has stopped");
    site.server.restart();
    assert_eq!(site.seen("ada"), vec![forgotten; 8]);
    assert_eq!(site.seen("grace"), [name, name, name, email, email, email, email, email]);
}

#[test]
fn no_personal_value_is_in_any_file_and_a_forgotten_person_is_forgotten_everywhere() {
    nothing_personal_is_stored_and_who_is_forgotten_is_forgotten_everywhere("personal", false);
}

#[test]
fn the_same_holds_on_postgres_with_all_payloads_encrypted() {
    nothing_personal_is_stored_and_who_is_forgotten_is_forgotten_everywhere("all", true);
}

#[test]
fn the_telegram_id_of_a_user_is_in_no_file() {
    const BOT: &str = "123456:token-of-the-bot";
    const ID: u64 = 7_340_118_253;
    let (directory, own, issuer) = (TempDir::new().unwrap(), TokenIssuer::new("own"), TokenIssuer::new("k-1"));
    fs::write(own.directory().join("bot"), BOT).unwrap();
    let settings = issuer.settings().into_iter().chain([
        format!("auth.token_key={}", own.private_key().display()),
        format!("auth.telegram.bot_token={}", own.directory().join("bot").display()),
        "auth.telegram.roles=[\"learner\"]".to_owned(),
        "auth.telegram.hide_ids=true".to_owned(),
        "audit.directory=audit".to_owned(),
        "keys.file=wrapping.keys".to_owned(),
        "keys.url=sqlite://./keys".to_owned(),
    ]);
    let settings: Vec<String> = settings.collect();
    let with_settings = |arguments: &[&str]| {
        let settings = settings.iter().flat_map(|set| ["--set", set]);
        let ended = run_in(directory.path(), &arguments.iter().copied().chain(settings).collect::<Vec<_>>());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.stdout
    };
    with_settings(&["encryption", "add-key"]);
    let mut server = settings.iter().fold(server_in(directory.path()), ServerBuilder::set).start();
    let log_in = |server: &Server| {
        let data = json!({"init_data": telegram_init_data(BOT, ID)});
        let answer = server.client().post("/v1/auth/telegram", &data).unwrap();
        assert_eq!(answer.status, 200, "{answer}");
        answer.json()
    };
    let login = log_in(&server);
    let subject = login["subject"].as_str().unwrap().to_owned();
    let authorization = format!("Bearer {}", login["token"].as_str().unwrap());
    let path = format!("/v1/user/{}/register-user", subject.replace(':', "%3A"));
    let registered =
        server.client().post_with(&path, &[("authorization", &authorization)], &json!({"name": "Ada"})).unwrap();
    assert_eq!(registered.status, 200, "{registered}");
    server.terminate();
    assert!(server.wait(SOON).success());
    let mut found = Vec::new();
    search(directory.path(), &[&ID.to_string()], &mut found);
    assert_eq!(found, [] as [PathBuf; 0]);
    search(directory.path(), &[&subject], &mut found);
    assert!(!found.is_empty(), "the search finds what is there");
    server.restart();
    assert_eq!(log_in(&server)["subject"], *subject);
    assert_eq!(with_settings(&["auth", "telegram-subject", &ID.to_string()]), format!("{subject}\n"));
}

#[test]
fn a_wrapping_key_is_replaced_while_the_server_runs() {
    let site = Site::start("personal", false);
    site.store("ada", ADA);
    let status = |site: &Site| -> Value {
        serde_json::from_str(&site.run_beside(&["encryption", "status", "--json"]).stdout).unwrap()
    };
    let first = status(&site);
    assert_eq!(first["wrapping_keys"].as_object().unwrap().len(), 1, "{first}");
    site.run_beside(&["encryption", "add-key"]);
    let rotated = site.run_beside(&["encryption", "rotate", "--json"]);
    let rotated: Value = serde_json::from_str(&rotated.stdout).unwrap();
    assert_eq!((&rotated["rewrapped"], &rotated["remaining"]), (&first["keys"], &json!(0)), "{rotated}");
    assert_ne!(status(&site)["wrapping_keys"], first["wrapping_keys"]);
    // The old key is not needed any more, by a server that runs nor by one that starts.
    let path = site.directory.path().join("secrets/wrapping.keys");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.lines().last().unwrap()).unwrap();
    site.store("grace", GRACE);
    let Site { directory, mut server, settings, .. } = site;
    server.terminate();
    assert!(server.wait(SOON).success());
    let server = settings.iter().fold(server_in(directory.path()), ServerBuilder::set).start();
    for (person, [name, _]) in [("ada", ADA), ("grace", GRACE)] {
        let state = server.client().get(&format!("/v1/user/{person}")).unwrap().json();
        assert_eq!(state["state"]["name"], name);
    }
}

#[test]
fn a_server_without_its_keys_does_not_start_and_says_what_to_do() {
    let directory = TempDir::new().unwrap();
    for (settings, expected) in [
        (
            &["journal.encryption=personal"][..],
            "expected a file with wrapping keys (`dormouse encryption add-key` makes it)",
        ),
        (&["journal.encryption=personal", "keys.file=none"][..], "`dormouse encryption add-key` makes one"),
        (&["auth.telegram.hide_ids=true"], "because of auth.telegram.hide_ids"),
        (&["keys.file=none", "keys.url=sqlite://./data"][..], "expected another directory than journal.url"),
    ] {
        let settings = settings.iter().flat_map(|set| ["--set", set]);
        let ended = run_in(directory.path(), &["serve"].into_iter().chain(settings).collect::<Vec<_>>());
        assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
        assert!(ended.stderr.contains(expected), "{expected}: {ended:?}");
    }
}
