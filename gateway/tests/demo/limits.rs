//! Limits on a network: rates by caller, addresses behind proxies, where operators come from, and pages of other
//! origins.

use dormouse::{Config, demo};
use dormouse_config::{Network, Rate, WebOrigin};
use dormouse_harness::{Answer, Client, TokenIssuer};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde_json::{Value, json};

use super::access::Guarded;
use super::{World, is, problem};

/// A value as it is written in a configuration.
fn written<T: for<'de> Deserialize<'de>>(text: &str) -> T {
    let text: StrDeserializer<'_, Error> = serde::de::value::StrDeserializer::new(text);
    T::deserialize(text).expect("the value is valid")
}

fn rate(text: &str) -> Rate {
    written(text)
}

fn networks(texts: &[&str]) -> Vec<Network> {
    texts.iter().map(|text| text.parse().expect("these are networks")).collect()
}

fn start(configure: impl FnOnce(&mut Config)) -> World {
    World::start(demo::app(), |config, _| configure(config))
}

fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    client.request("GET", path, headers, None).unwrap()
}

fn rate_limited(answer: &Answer) -> bool {
    problem(answer) == is(429, "rate-limited")
}

#[test]
fn a_caller_beyond_its_rate_is_told_when_to_come_back_and_others_are_served() {
    let guarded = Guarded::start(|config| config.limits.commands = rate("1/h burst 2"));
    let restock = |subject: &str| {
        let authorization = format!("Bearer {}", guarded.issuer.token(subject, &["admin"]));
        let body = json!({"change": 1, "reason": "counted"});
        guarded
            .world
            .client
            .post_with("/v1/inventory/SKU-1/update-inventory", &[("authorization", &authorization)], &body)
            .unwrap()
    };
    let first = restock("ada");
    assert_eq!(first.status, 200, "{first}");
    assert_eq!(first.header("ratelimit"), Some("\"commands\";r=1;t=3600"));
    assert_eq!(first.header("ratelimit-policy"), Some("\"commands\";q=2;w=7200"));
    assert_eq!(restock("ada").header("ratelimit"), Some("\"commands\";r=0;t=7200"));
    let refused = restock("ada");
    assert!(rate_limited(&refused), "{refused}");
    assert_eq!(refused.json()["class"], "commands");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("ratelimit"), Some("\"commands\";r=0;t=7200"));
    assert_eq!(restock("bea").status, 200);
    // Reads are another class, without a rate here.
    let authorization = format!("Bearer {}", guarded.issuer.token("ada", &["admin"]));
    let read = get(&guarded.world.client, "/v1/inventory/SKU-1", &[("authorization", &authorization)]);
    assert_eq!((read.status, read.header("ratelimit")), (200, None));
}

#[test]
fn each_class_is_counted_by_itself_and_health_is_not_counted() {
    let world = start(|config| {
        config.limits.queries = rate("1/h");
        config.limits.admin = rate("1/h burst 2");
    });
    let status = |path: &str| get(&world.client, path, &[]).status;
    assert_eq!([status("/v1/views"), status("/v1/views"), status("/v1/order/o-1")], [200, 429, 429]);
    assert_eq!([status("/admin/projections"), status("/metrics"), status("/metrics")], [200, 200, 429]);
    assert_eq!([(); 5].map(|()| status("/health/live")), [200; 5]);
}

#[test]
fn a_bulk_request_is_as_fast_as_the_rate_of_its_caller() {
    let world = start(|config| config.limits.commands = rate("100/s burst 5"));
    let line = |number| json!({"type": "inventory", "id": format!("S-{number}"), "command": "update-inventory", "body": {"change": 1, "reason": "counted"}});
    let lines: Vec<String> = (0..30).map(|number| line(number).to_string()).collect();
    let headers = [("content-type", "application/x-ndjson")];
    let answer = world.client.request("POST", "/v1/commands", &headers, Some(lines.join("\n").as_bytes())).unwrap();
    let text = answer.text();
    let statuses = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].clone());
    assert_eq!(statuses.collect::<Vec<_>>(), vec![json!(200); 30], "{text}");
    let metrics = get(&world.client, "/metrics", &[]).text();
    assert!(metrics.contains("dormouse_requests_limited_total{class=\"commands\"}"), "lines waited for the rate");
}

#[test]
fn who_guesses_tokens_has_to_wait_and_a_known_token_goes_on() {
    let guarded = Guarded::start(|config| config.limits.auth = rate("1/h burst 3"));
    let read = |token: &str| {
        let authorization = format!("Bearer {token}");
        get(&guarded.world.client, "/v1/views", &[("authorization", &authorization)])
    };
    let known = guarded.issuer.token("ada", &["admin"]);
    assert_eq!(read(&known).status, 200);
    let other = TokenIssuer::new("k-1");
    let guesses: Vec<u16> =
        (0..4).map(|number| read(&other.token(&format!("s-{number}"), &["admin"])).status).collect();
    assert_eq!(guesses, [401, 401, 429, 429]);
    assert_eq!(read("dmk_0123456789abcdef_guess").status, 429);
    assert_eq!(read(&known).status, 200);
    assert!(rate_limited(&read(&guarded.issuer.token("bea", &["admin"]))), "a new token is an attempt, too");
}

#[test]
fn clients_behind_a_trusted_proxy_are_told_apart_and_nobody_else_names_an_address() {
    let limited = |config: &mut Config| config.limits.queries = rate("1/h");
    let proxied = start(|config| {
        limited(config);
        config.gateway.trusted_proxies = networks(&["127.0.0.1"]);
    });
    let read =
        |world: &World, forwarded: &str| get(&world.client, "/v1/views", &[("x-forwarded-for", forwarded)]).status;
    assert_eq!(
        [read(&proxied, "192.0.2.1"), read(&proxied, "192.0.2.2"), read(&proxied, "192.0.2.1")],
        [200, 200, 429]
    );
    assert_eq!(read(&proxied, "203.0.113.77, 192.0.2.1"), 429, "a client cannot write itself another address");

    let direct = start(limited);
    assert_eq!([read(&direct, "192.0.2.1"), read(&direct, "192.0.2.2")], [200, 429]);
}

#[test]
fn operators_come_from_their_networks_alone() {
    let world = start(|config| {
        config.gateway.trusted_proxies = networks(&["127.0.0.1"]);
        config.admin.allow = networks(&["127.0.0.1", "10.0.0.0/8"]);
    });
    let from = |address: &str, path: &str| get(&world.client, path, &[("x-forwarded-for", address)]);
    for path in ["/admin/projections", "/metrics", "/console", "/admin/nothing"] {
        let refused = from("192.0.2.1", path);
        assert_eq!(problem(&refused), is(403, "address-refused"), "{path}");
    }
    assert_eq!(from("10.1.2.3", "/admin/projections").status, 200);
    assert_eq!(get(&world.client, "/metrics", &[]).status, 200);
    assert_eq!(from("192.0.2.1", "/health").status, 200);
    assert_eq!(from("192.0.2.1", "/v1/views").status, 200);
}

#[test]
fn operators_may_have_an_address_of_their_own() {
    let world = start(|config| config.admin.listen = Some("127.0.0.1:0".parse().unwrap()));
    let operators = Client::new(format!("http://{}", world.running().admin_address().unwrap()));
    for path in ["/admin/projections", "/metrics"] {
        assert_eq!(problem(&get(&world.client, path, &[])), is(404, "unknown-route"), "{path}");
        assert_eq!(get(&operators, path, &[]).status, 200, "{path}");
    }
    assert_eq!(get(&world.client, "/v1/views", &[]).status, 200);
    assert_eq!(problem(&get(&operators, "/v1/views", &[])), is(404, "unknown-route"));
    for client in [&world.client, &operators] {
        assert_eq!(get(client, "/health/ready", &[]).status, 200);
    }
}

#[test]
fn pages_of_named_origins_alone_use_the_server() {
    const APP: &str = "https://app.example.org";
    let world = start(|config| config.gateway.cors_origins = vec![written::<WebOrigin>(APP)]);
    let ask = |method: &str, origin: &str, headers: &[(&str, &str)]| {
        let headers = [&[("origin", origin), ("sec-fetch-site", "cross-site")], headers].concat();
        let body = (method == "POST").then_some(&br#"{"change": 1, "reason": "counted"}"#[..]);
        world.client.request(method, "/v1/inventory/SKU-1/update-inventory", &headers, body).unwrap()
    };
    let wanted = [
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,idempotency-key"),
    ];
    let preflight = ask("OPTIONS", APP, &wanted);
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, Some(APP)));
    assert_eq!(preflight.header("access-control-allow-headers"), Some(wanted[1].1));
    assert_eq!(preflight.header("access-control-allow-credentials"), None);
    let posted = ask("POST", APP, &[("content-type", "application/json")]);
    assert_eq!((posted.status, posted.header("access-control-allow-origin")), (200, Some(APP)), "{posted}");
    assert_eq!(posted.header("access-control-expose-headers"), Some("*"));

    let other = "https://evil.example.net";
    assert_eq!(ask("OPTIONS", other, &wanted).header("access-control-allow-origin"), None);
    let refused = ask("POST", other, &[("content-type", "application/json")]);
    assert_eq!(problem(&refused), is(403, "cross-site"));
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert_eq!(get(&world.client, "/v1/inventory/SKU-1", &[]).json()["version"], 1);
}

#[test]
fn no_browser_guesses_the_type_of_an_answer() {
    let world = start(|_| {});
    for path in ["/health", "/v1/views", "/docs", "/openapi.json", "/metrics", "/nowhere", "/v1/order/o-1"] {
        assert_eq!(get(&world.client, path, &[]).header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}
