//! Who may do what: every address of the description, by callers without a token, with the wrong role and with the right
//! one.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dormouse::demo;
use dormouse_config::{AuthMode, Config};
use dormouse_harness::{Answer, TokenIssuer, telegram_init_data};
use serde_json::{Value, json};

use super::{World, is, problem};

/// The shipped application with an issuer of tokens.
pub(super) struct Guarded {
    pub(super) world: World,
    pub(super) issuer: TokenIssuer,
}

impl Guarded {
    pub(super) fn start(configure: impl FnOnce(&mut Config)) -> Self {
        let issuer = TokenIssuer::new("k-1");
        let world = World::start(demo::app(), |config, _| {
            config.auth.mode = AuthMode::Jwt;
            config.auth.jwt.issuer = "https://issuer.test".to_owned();
            config.auth.jwt.audience = vec!["dormouse".to_owned()];
            config.auth.jwt.public_key = issuer.public_key();
            configure(config);
        });
        Self { world, issuer }
    }

    pub(super) fn authorization(&self, roles: &[&str]) -> String {
        format!("Bearer {}", self.issuer.token("ada", roles))
    }

    /// Sends a request. `None`: without a token.
    #[track_caller]
    pub(super) fn send(&self, method: &str, path: &str, roles: Option<&[&str]>, body: &str) -> Answer {
        let authorization = roles.map(|roles| self.authorization(roles));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        let body = ["POST", "PATCH", "PUT"].contains(&method).then_some(body.as_bytes());
        self.world.client.request(method, path, &headers, body).unwrap()
    }

    /// The roles of each permission.
    fn permissions(&self) -> HashMap<String, Vec<String>> {
        let shown = self.send("GET", "/admin/permissions", Some(&["admin"]), "").json();
        assert_eq!(shown["authenticated"], true);
        let permission = |one: &Value| {
            let name = format!("{}.{}", one["section"].as_str().unwrap(), one["name"].as_str().unwrap());
            (name, serde_json::from_value(one["roles"].clone()).unwrap())
        };
        shown["permissions"].as_array().unwrap().iter().map(permission).collect()
    }
}

/// The operations of a description: method, path and description.
pub(super) fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of_path = |(path, item): (&String, &Value)| {
        let path = path.clone();
        let methods = item.as_object().unwrap().clone().into_iter();
        methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    };
    paths.flat_map(of_path).collect()
}

fn problem_is(answer: &Answer, detail: &str) -> bool {
    answer.status == 403 && answer.json()["detail"].as_str().is_some_and(|text| text.ends_with(detail))
}

/// A path with some text in each of its named parts: nothing has this name.
pub(super) fn concrete(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "nothing-of-this-name" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn every_operation_takes_a_caller_with_its_permission() {
    let guarded = Guarded::start(|_| {});
    let permissions = guarded.permissions();
    let document = guarded.send("GET", "/openapi.json", None, "").json();
    assert_eq!(document["security"], json!([{"bearer": []}]));
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");

    let (mut open, mut guarded_count, mut nobody) = (Vec::new(), 0, 0);
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        let send = |roles: Option<&[&str]>| guarded.send(&method, &concrete(&path), roles, "{}");
        if operation["security"] == json!([]) {
            let status = send(None).status;
            assert!(status != 401 && status != 403, "{what}: {status}");
            open.push(path);
            continue;
        }
        let permission = operation["x-permission"].as_str().unwrap_or_else(|| panic!("{what} has no permission"));
        let refused = send(None);
        assert_eq!(problem(&refused), is(401, "unauthenticated"), "{what}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"dormouse\""), "{what}");
        if permission == "commands.*" {
            // Each line has a permission of its own: see below.
            assert_eq!(send(Some(&[])).status, 415, "{what}");
            continue;
        }
        guarded_count += 1;
        let roles = permissions.get(permission).unwrap_or_else(|| panic!("{what}: {permission} is not listed"));
        if roles.iter().all(|role| !role.ends_with('*')) {
            let denied = send(Some(&["stranger", "*", "own:user", ""]));
            assert_eq!(problem(&denied), is(403, "forbidden"), "{what}");
            assert_eq!(denied.json()["permission"], permission, "{what}");
            let challenge = denied.header("www-authenticate").unwrap();
            assert!(challenge.ends_with(r#"error="insufficient_scope""#), "{challenge}");
        }
        match roles.first() {
            None => {
                nobody += 1;
                assert_eq!(send(Some(&["admin"])).status, 403, "{what}: nobody may");
            }
            Some(role) => {
                let answer = send(Some(&[role.trim_start_matches("own:")]));
                // What is not its own looks as if it did not exist.
                let is_hidden = role.starts_with("own:") && problem_is(&answer, "is not the caller's own");
                assert!(is_hidden || answer.status != 401 && answer.status != 403, "{what} as {role}: {answer}");
            }
        }
    }
    assert_eq!(open, ["/docs", "/health/live", "/health/ready", "/openapi.json", "/v1/auth/telegram"]);
    assert!(guarded_count > 100 && nobody < guarded_count / 4, "{guarded_count} {nobody}");
}

#[test]
fn the_permissions_of_the_shop_are_those_of_the_requirements() {
    let guarded = Guarded::start(|_| {});
    let permissions = guarded.permissions();
    for (permission, roles) in [
        ("commands.order.CreateOrder", &["own:user", "admin"][..]),
        ("commands.order.CancelOrder", &["admin"]),
        ("commands.inventory.UpdateInventory", &["inventory_manager", "admin"]),
        ("queries.GetOrder", &["own:user", "admin"]),
        ("queries.GetAllOrders", &["admin"]),
        ("queries.GetInventory", &["inventory_viewer", "admin"]),
    ] {
        assert_eq!(permissions[permission], roles, "{permission}");
    }
}

#[test]
fn each_line_of_a_bulk_request_needs_the_permission_of_its_command() {
    let guarded = Guarded::start(|_| {});
    let order = json!({"customer": "Ada", "email": "ada@example.org",
        "lines": [{"sku": "tea", "quantity": 1, "unit_price_cents": 5}]});
    let lines = [
        json!({"type": "order", "id": "o-1", "command": "CreateOrder", "body": order}),
        json!({"type": "order", "id": "o-1", "command": "CancelOrder", "body": {"reason": "none"}}),
        json!({"type": "inventory", "id": "tea", "command": "update-inventory", "body": {"change": 1, "reason": "x"}}),
        json!({"type": "order", "id": "o-1", "command": "RecordLineReserved", "body": {"sku": "tea"}}),
        json!({"type": "order", "id": "o-1", "command": "confirm-order"}),
    ];
    let body = lines.map(|line| format!("{line}\n")).concat();
    let authorization = guarded.authorization(&["user"]);
    let headers = [("content-type", "application/x-ndjson"), ("authorization", authorization.as_str())];
    let answer = guarded.world.client.request("POST", "/v1/commands", &headers, Some(body.as_bytes())).unwrap();
    let answers: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<_> = answers.iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 403, 403, 403, 200], "{answer}");
    assert_eq!(answers[1]["problem"]["permission"], "commands.order.CancelOrder");
    assert_eq!(answers[3]["problem"]["type"], "urn:dormouse:problem:internal-command");
}

#[test]
fn the_subject_of_a_token_is_that_of_the_events_and_no_header_replaces_it() {
    let guarded = Guarded::start(|_| {});
    let change = json!({"change": 1, "reason": "delivery"});
    let authorization = guarded.authorization(&["inventory_manager"]);
    let post = |more: &[(&str, &str)]| {
        let headers = [&[("authorization", authorization.as_str())], more].concat();
        guarded.world.client.post_with("/v1/inventory/tea/update-inventory", &headers, &change).unwrap()
    };
    assert_eq!(post(&[]).status, 200);
    assert_eq!(problem(&post(&[("dormouse-subject", "bob")])), is(403, "subject-refused"));
    let events = guarded.send("GET", "/v1/inventory/tea/events", Some(&["admin"]), "").json();
    assert_eq!(events["events"][0]["metadata"]["subject"], "ada");
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
}

#[test]
fn a_token_that_is_refused_says_why_and_an_address_without_a_rule_does_not_exist() {
    let guarded = Guarded::start(|_| {});
    let get = |path: &str, authorization: &str| {
        guarded.world.client.request("GET", path, &[("authorization", authorization)], None).unwrap()
    };
    let refused = get("/v1/order/o-1", "Bearer a.b.c");
    assert_eq!(problem(&refused), is(401, "unauthenticated"));
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.contains(r#"error="invalid_token", error_description="the token is malformed: "#), "{challenge}");
    let another = TokenIssuer::new("k-1");
    let forged = get("/v1/order/o-1", &format!("Bearer {}", another.token("ada", &["admin"])));
    assert_eq!((forged.status, forged.json()["detail"].clone()), (401, json!("the signature of the token is wrong")));
    let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    assert_eq!(guarded.world.client.request("GET", "/v1/order/o-1", &twice, None).unwrap().status, 400);

    for path in ["/v1/nothing", "/v2/order/o-1", "/admin/nothing", "/v1/order/o-1/events/x", "//v1/order/o-1", "/admin"]
    {
        assert_eq!(problem(&guarded.send("GET", path, Some(&["admin"]), "")), is(404, "unknown-route"), "{path}");
        assert_eq!(guarded.send("GET", path, None, "").status, 401, "{path}");
    }
    for (path, slug) in [
        ("/v1/ordr/o-1", "unknown-aggregate-type"),
        ("/v1/views/ordrs", "unknown-view"),
        ("/v1/order/nothing", "not-found"),
    ] {
        assert_eq!(problem(&guarded.send("GET", path, Some(&["admin"]), "")), is(404, slug), "{path}");
    }
}

#[test]
fn a_stream_ends_when_the_token_of_its_caller_expires() {
    let guarded = Guarded::start(|config| {
        config.auth.jwt.leeway = Duration::ZERO;
        config.gateway.stream_heartbeat = Duration::from_millis(100);
    });
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 10;
    let claims =
        json!({"iss": "https://issuer.test", "aud": "dormouse", "sub": "ada", "roles": ["admin"], "exp": expires});
    let authorization = format!("Bearer {}", guarded.issuer.sign(&claims));
    let headers = [("authorization", authorization.as_str()), ("accept", "text/event-stream")];
    // The answer is complete when the stream has ended.
    let stream = guarded.world.client.request("GET", "/v1/events", &headers, None).unwrap();
    assert_eq!((stream.status, stream.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(guarded.world.client.request("GET", "/v1/events", &headers, None).unwrap().status, 401);
}

#[test]
fn a_user_of_a_telegram_web_app_gets_a_token_of_the_servers_own() {
    const BOT: &str = "123456:token-of-the-bot";
    let own = TokenIssuer::new("own");
    std::fs::write(own.directory().join("bot"), format!("{BOT}\n")).unwrap();
    let guarded = Guarded::start(|config| {
        config.auth.token_key = own.private_key();
        config.auth.telegram.bot_token = own.directory().join("bot");
        config.auth.telegram.roles = vec!["learner".to_owned()];
    });
    let login = |data: &str| guarded.world.client.post("/v1/auth/telegram", &json!({"init_data": data})).unwrap();
    let answer = login(&telegram_init_data(BOT, 42));
    assert_eq!((answer.status, answer.json()["subject"].clone()), (200, json!("telegram:42")), "{answer}");
    assert_eq!((answer.json()["expires_in"].clone(), answer.header("cache-control")), (json!(3600), Some("no-store")));
    let authorization = format!("Bearer {}", answer.json()["token"].as_str().unwrap());
    let get =
        |path: &str| guarded.world.client.request("GET", path, &[("authorization", &authorization)], None).unwrap();
    assert_eq!(problem(&get("/v1/user/telegram%3A42")), is(404, "not-found"), "its own, which does not exist yet");
    assert_eq!(problem(&get("/v1/order/o-1")), is(403, "forbidden"));

    for data in
        [telegram_init_data("654321:another", 42), telegram_init_data(BOT, 42).replace("42", "43"), String::new()]
    {
        assert_eq!(problem(&login(&data)), is(401, "unauthenticated"), "{data}");
    }
    let body = json!({"initData": "x"});
    assert_eq!(problem(&guarded.world.client.post("/v1/auth/telegram", &body).unwrap()), is(400, "invalid-body"));
    let without = Guarded::start(|_| {});
    let refused =
        without.world.client.post("/v1/auth/telegram", &json!({"init_data": telegram_init_data(BOT, 42)})).unwrap();
    assert_eq!(problem(&refused), is(404, "no-telegram-bot"));
}

#[test]
fn what_one_caller_may_see_is_kept_by_no_shared_cache() {
    let guarded = Guarded::start(|config| config.views.max_age = Duration::from_secs(60));
    let answer = guarded.send("GET", "/v1/views/orders", Some(&["admin"]), "");
    assert_eq!(answer.header("cache-control"), Some("private, max-age=60"));
}

#[test]
fn a_permission_for_something_that_does_not_exist_prevents_the_start() {
    let refused = World::try_start(demo::app(), |config, _| {
        config.permissions.commands.insert("CreateOder".to_owned(), vec!["user".to_owned()]);
    });
    assert_eq!(
        refused.err().unwrap().to_string(),
        "permissions.commands names \"CreateOder\", which does not exist: `dormouse auth permissions` lists the names"
    );
    for (section, name) in [("queries", "events"), ("queries", "views"), ("commands", "CreateOwnSite"), ("admin", "*")]
    {
        let refused = World::try_start(demo::app(), |config, _| {
            let table = match section {
                "queries" => &mut config.permissions.queries,
                "commands" => &mut config.permissions.commands,
                _ => &mut config.permissions.admin,
            };
            table.insert(name.to_owned(), vec!["own:user".to_owned()]);
        });
        let refused = refused.err().unwrap().to_string();
        assert!(
            refused.starts_with(&format!("permissions.{section}: {name:?} takes no role with `own:`")),
            "{refused}"
        );
    }
    // A module that is left out has its names nevertheless.
    World::start(demo::app(), |config, _| {
        config.modules.enabled = vec!["academy".to_owned()];
        config.permissions.commands.insert("CreateOrder".to_owned(), vec!["user".to_owned()]);
    });
}
