//! A server that authenticates its callers, as operators and clients use it: API keys, an issuer with an address, and the
//! commands that explain.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use dormouse_harness::{Answer, Server, TokenIssuer, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SOON, run_in, server_in};

/// A server that trusts an issuer, and the files of its operator.
struct Site {
    directory: TempDir,
    issuer: TokenIssuer,
    server: Server,
}

impl Site {
    fn start() -> Self {
        let (directory, issuer) = (TempDir::new().unwrap(), TokenIssuer::new("k-1"));
        let settings = [issuer.settings(), vec!["auth.api_keys=keys.json".to_owned(), "log.level=debug".to_owned()]];
        let server = settings.concat().into_iter().fold(server_in(directory.path()), |builder, set| builder.set(set));
        let server = server.start();
        Self { directory, issuer, server }
    }

    /// Runs a command of the command line with the settings of the server.
    fn run(&self, arguments: &[&str]) -> Result<String, (i32, String)> {
        let settings = [self.issuer.settings(), vec!["auth.api_keys=keys.json".to_owned()]].concat();
        let settings = settings.iter().flat_map(|set| ["--set", set]);
        let ended = run_in(self.directory.path(), &settings.chain(arguments.iter().copied()).collect::<Vec<_>>());
        match ended.code {
            Some(0) => Ok(ended.stdout),
            code => Err((code.unwrap(), ended.stderr + &ended.stdout)),
        }
    }

    fn restock(&self, credentials: &str) -> Answer {
        restock(&self.server, credentials)
    }

    fn token_file(&self, name: &str, token: &str) -> String {
        fs::write(self.directory.path().join(name), format!("{token}\n")).unwrap();
        name.to_owned()
    }
}

fn restock(server: &Server, credentials: &str) -> Answer {
    let body = json!({"change": 1, "reason": "counted"});
    let authorization = format!("Bearer {credentials}");
    let headers = [("authorization", authorization.as_str())];
    server.client().post_with("/v1/inventory/SKU-1/update-inventory", &headers, &body).unwrap()
}

#[test]
fn an_api_key_is_made_used_and_revoked() {
    let site = Site::start();
    let key = site.run(&["keys", "create", "warehouse", "--permission", "commands.UpdateInventory"]).unwrap();
    let key = key.trim();
    assert!(
        key.starts_with("dmk_") && !fs::read_to_string(site.directory.path().join("keys.json")).unwrap().contains(key)
    );
    site.server.signal_reload();
    eventually("the server knows the key", SOON, || site.restock(key).status == 200);
    let read = site.server.client().request(
        "GET",
        "/v1/inventory/SKU-1",
        &[("authorization", &format!("Bearer {key}"))],
        None,
    );
    assert_eq!(read.unwrap().json()["permission"], "queries.inventory.state");
    let listed = site.run(&["keys", "list"]).unwrap();
    assert!(
        listed.contains("warehouse") && listed.contains("valid") && listed.contains("commands.UpdateInventory"),
        "{listed}"
    );

    assert!(site.run(&["keys", "revoke", "warehouse"]).unwrap().starts_with("revoked warehouse ("));
    site.server.signal_reload();
    eventually("the server knows it no more", SOON, || site.restock(key).status == 401);
    assert_eq!(site.run(&["keys", "list"]).unwrap(), "there is no API key\n");
    let all: Value = serde_json::from_str(&site.run(&["keys", "list", "--all", "--json"]).unwrap()).unwrap();
    assert!(all[0]["revoked_at"].is_string() && all[0].get("hash").is_none(), "{all}");

    for (arguments, code, said) in [
        (&["keys", "create", "x", "--permission", "commands.UpdateInventry"][..], 2, "there is no permission"),
        (&["keys", "create", "x", "--permission", "UpdateInventory"], 2, "write commands.NAME"),
        (&["keys", "create", "x y", "--permission", "commands.*"], 1, "is no name for an API key"),
        (&["keys", "create", "x", "--permission", "commands.*", "--expires=-1h"], 2, "use a time such as"),
        (&["keys", "revoke", "nobody"], 1, "there is no API key"),
    ] {
        let refused = site.run(arguments).unwrap_err();
        assert!(refused.0 == code && refused.1.contains(said), "{arguments:?}: {refused:?}");
    }
}

#[test]
fn the_command_line_sends_a_token_and_explains_what_it_may() {
    let site = Site::start();
    let admin = site.token_file("admin.txt", &site.issuer.token("root", &["admin"]));
    let user = site.token_file("user.txt", &site.issuer.token("ada", &["user"]));
    let url = site.server.url();
    let queues = |more: &[&str]| site.run(&[&["queues", "status", "--server", &url], more].concat());
    assert!(queues(&["--token", &admin]).unwrap().contains("default"));
    assert!(queues(&[]).unwrap_err().1.contains("send the header Authorization"));
    assert!(queues(&["--token", &user]).unwrap_err().1.contains("this caller may not do admin.queues"));
    assert!(queues(&["--token", "none.txt"]).unwrap_err().1.contains("--token none.txt: No such file"));

    let explain = |token: &str, what: &str| site.run(&["auth", "explain", "--token", token, what]);
    let explained = explain(&user, "CreateOrder").unwrap();
    assert!(explained.starts_with("ada may do, on what is its own, commands.CreateOrder\n"), "{explained}");
    assert!(explained.contains("it takes one of: own:user, admin\n  the caller has: role user"), "{explained}");
    let denied = explain(&user, "admin.failed.retry").unwrap_err();
    assert!(denied.0 == 1 && denied.1.contains("ada may not do admin.failed.retry"), "{denied:?}");
    assert!(
        explain(&admin, "commands.order.CancelOrder").unwrap().starts_with("root may do commands.order.CancelOrder\n")
    );
    let forged = site.token_file("forged.txt", &TokenIssuer::new("k-1").token("ada", &["admin"]));
    let refused = explain(&forged, "CreateOrder").unwrap_err();
    assert!(refused.0 == 1 && refused.1.contains("the signature of the token is wrong"), "{refused:?}");
    assert!(explain(&user, "CreateOder").unwrap_err().1.contains("there is no permission \"CreateOder\""));

    let listed = site.run(&["auth", "permissions"]).unwrap();
    assert!(listed.lines().any(|line| line.split_whitespace().eq(["commands.order.CancelOrder", "admin"])), "{listed}");
    assert!(listed.lines().any(|line| line.split_whitespace().eq(["queries.tenant.outcome", "nobody"])), "{listed}");
}

#[test]
fn what_a_caller_may_do_on_an_aggregate_is_explained_by_its_owner() {
    let site = Site::start();
    let (ada, bert) = (site.issuer.token("ada", &["user"]), site.issuer.token("bert", &["user"]));
    let order = json!({"customer": "Ada", "email": "ada@example.org",
        "lines": [{"sku": "tea", "quantity": 1, "unit_price_cents": 5}]});
    let authorization = format!("Bearer {ada}");
    let created = site.server.client().post_with(
        "/v1/order/o-1/create-order",
        &[("authorization", authorization.as_str())],
        &order,
    );
    assert_eq!(created.unwrap().status, 200);
    let (ada, bert) = (site.token_file("ada.txt", &ada), site.token_file("bert.txt", &bert));
    let explain =
        |token: &str, on: &[&str]| site.run(&[&["auth", "explain", "--token", token, "AddLine"], on].concat());
    let own = explain(&ada, &["order", "o-1"]).unwrap();
    assert!(own.starts_with("ada may do, on what is its own, commands.AddLine on order/o-1\n"), "{own}");
    assert!(own.ends_with("it belongs to: ada\n"), "{own}");
    let denied = explain(&bert, &["order", "o-1"]).unwrap_err();
    assert!(denied.0 == 1 && denied.1.contains("bert may not do commands.AddLine on order/o-1"), "{denied:?}");
    assert!(explain(&bert, &["order", "o-2"]).unwrap().contains("it does not exist"));
    let document: Value = serde_json::from_str(&explain(&ada, &["order", "o-1", "--json"]).unwrap()).unwrap();
    assert_eq!((&document["may"], &document["aggregate"]["owner"]), (&json!("own"), &json!("ada")), "{document}");
    assert!(explain(&ada, &["ordr", "o-1"]).unwrap_err().1.contains("there is no aggregate type \"ordr\""));
    assert_eq!(explain(&ada, &["order"]).unwrap_err().0, 2);
}

#[test]
fn tokens_and_keys_appear_in_no_log_no_metric_and_no_answer() {
    let site = Site::start();
    let key = site.run(&["keys", "create", "ops", "--permission", "admin.*"]).unwrap().trim().to_owned();
    let good = site.issuer.token("ada", &["admin"]);
    let (forged, malformed) = (TokenIssuer::new("k-1").token("mallory", &["admin"]), "x.y.zzzzzzzzzzzzzzzz".to_owned());
    assert_eq!(site.restock(&good).status, 200);
    let secrets = [&good, &forged, &malformed, &key];
    let answers: Vec<String> = secrets.iter().map(|secret| site.restock(secret).to_string()).collect();
    let authorization = format!("Bearer {good}");
    let read =
        |path: &str| site.server.client().request("GET", path, &[("authorization", &authorization)], None).unwrap();
    let events = read("/v1/inventory/SKU-1/events").to_string();
    let metrics = read("/metrics");
    assert_eq!(metrics.status, 200);
    let refused = "dormouse_callers_refused_total{reason=\"unauthenticated\"}";
    assert!(metrics.text().lines().any(|line| line.starts_with(refused)), "{metrics}");
    let said = [site.server.logs(), metrics.text(), events, answers.concat()].concat();
    for secret in secrets {
        let end = &secret[secret.len() - 16..];
        assert!(!said.contains(end), "{end}");
    }
}

/// An issuer that publishes its keys at an address.
struct Provider {
    address: String,
    keys: Arc<Mutex<Vec<Value>>>,
}

impl Provider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/keys", listener.local_addr().unwrap());
        let keys = Arc::new(Mutex::new(Vec::new()));
        let published = Arc::clone(&keys);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut head = [0; 4096];
                let _read = connection.read(&mut head);
                let keys = published.lock().unwrap().clone();
                let (status, body) = if keys.is_empty() {
                    ("503 Service Unavailable", String::new())
                } else {
                    ("200 OK", json!({"keys": keys}).to_string())
                };
                let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _written = connection.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Self { address, keys }
    }

    fn publish(&self, issuers: &[&TokenIssuer]) {
        *self.keys.lock().unwrap() = issuers.iter().map(|issuer| issuer.jwk()).collect();
    }
}

#[test]
fn an_issuer_may_be_away_at_the_start_and_change_its_key_under_load() {
    let (provider, first, second) = (Provider::start(), TokenIssuer::new("k-1"), TokenIssuer::new("k-2"));
    let directory = TempDir::new().unwrap();
    let settings = first.settings_with(&format!("auth.jwt.jwks={}", provider.address));
    let server = settings.into_iter().fold(server_in(directory.path()), |builder, set| builder.set(set)).start();
    let away = restock(&server, &first.token("ada", &["admin"]));
    assert_eq!((away.status, away.json()["type"].clone()), (503, json!("urn:dormouse:problem:keys-unavailable")));
    assert!(away.header("retry-after").is_some());
    provider.publish(&[&first]);
    server.signal_reload();
    eventually("the server has the key", SOON, || restock(&server, &first.token("ada", &["admin"])).status == 200);

    let (is_over, newest) = (AtomicBool::new(false), Mutex::new(&first));
    let accepted: [AtomicU32; 4] = Default::default();
    thread::scope(|scope| {
        for (client, accepted) in accepted.iter().enumerate() {
            let (server, is_over, newest) = (&server, &is_over, &newest);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let issuer = *newest.lock().unwrap();
                    // Another token each time: none of them is known yet.
                    let number = accepted.load(Ordering::SeqCst);
                    let answer = restock(server, &issuer.token(&format!("ada-{client}-{number}"), &["admin"]));
                    if answer.status != 200 {
                        is_over.store(true, Ordering::SeqCst);
                        panic!("{answer}");
                    }
                    accepted.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let await_more = || {
            let before: Vec<u32> = accepted.iter().map(|count| count.load(Ordering::SeqCst)).collect();
            eventually("each client goes on", SOON, || {
                let goes_on = |(count, before): (&AtomicU32, &u32)| count.load(Ordering::SeqCst) >= before + 5;
                is_over.load(Ordering::SeqCst) || accepted.iter().zip(&before).all(goes_on)
            });
        };
        await_more();
        provider.publish(&[&first, &second]);
        *newest.lock().unwrap() = &second;
        await_more();
        provider.publish(&[&second]);
        server.signal_reload();
        await_more();
        is_over.store(true, Ordering::SeqCst);
    });
    eventually("tokens of the withdrawn key are refused", SOON, || {
        restock(&server, &first.token("ada", &["admin"])).status == 401
    });
}

#[test]
fn a_server_does_not_start_without_the_callers_or_the_keys_that_it_needs() {
    let (directory, issuer) = (TempDir::new().unwrap(), TokenIssuer::new("k-1"));
    let settings = issuer.settings_with("auth.jwt.public_key=missing.pem");
    let settings = settings.iter().flat_map(|set| ["--set", set]).chain(["--set", "journal.url=memory:"]);
    let ended = run_in(directory.path(), &["serve"].into_iter().chain(settings).collect::<Vec<_>>());
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr.lines().last(),
        Some("dormouse: auth.jwt: missing.pem: No such file or directory (os error 2)")
    );
    for profile in ["production", "enterprise"] {
        for arguments in [&["serve", "--profile", profile][..], &["config", "check", "--profile", profile]] {
            let refused = run_in(directory.path(), arguments);
            assert_eq!(refused.code, Some(2), "{refused:?}");
            let said = "dormouse: auth.mode: expected \"jwt\" because auth.required is true;";
            let (error, remedy) =
                refused.stderr.split_once("\nThese lines of a configuration file mend it:\n").unwrap();
            assert!(error.lines().last().unwrap().starts_with(said), "{refused:?}");
            assert_eq!(remedy.lines().count(), 3);
            fs::write(directory.path().join("mended.toml"), remedy).unwrap();
            let mended = ["config", "check", "--profile", profile, "--config", "mended.toml"];
            let mended = run_in(directory.path(), &mended);
            assert_eq!((mended.code, mended.stdout.as_str()), (Some(0), "ok\n"), "{refused:?}");
        }
    }
    let refused = run_in(directory.path(), &["config", "check", "--set", "auth.mode=jwt"]);
    assert!(
        refused.stderr.contains("auth.jwt.issuer = \"\" is refused, expected the name of an issuer"),
        "{refused:?}"
    );
}
