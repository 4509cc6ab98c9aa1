//! Two customers of the shop, each of whom may see and change only its own: whatever they ask, neither learns anything of
//! the other.

use std::time::Duration;

use dormouse_config::{CommandMode, Config};
use dormouse_harness::{Answer, eventually};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::access::Guarded;
use super::{SOON, is, problem};

/// The two customers. What belongs to one has its name in it: ids, customers, skus, keys.
const CUSTOMERS: [&str; 2] = ["anna", "bert"];

/// Everything that is asked, for `user`s: lists and histories, too.
fn permit(config: &mut Config) {
    let own = || vec!["own:user".to_owned(), "admin".to_owned()];
    for query in ["GetAllOrders", "order.events"] {
        config.permissions.queries.insert(query.to_owned(), own());
    }
    config.permissions.commands.insert("CancelOrder".to_owned(), own());
}

/// The shop, as its customers reach it.
struct Shop {
    guarded: Guarded,
    tokens: [String; 2],
}

impl Shop {
    fn open(configure: impl FnOnce(&mut Config)) -> Self {
        let guarded = Guarded::start(|config| {
            permit(config);
            configure(config);
        });
        let tokens = CUSTOMERS.map(|name| format!("Bearer {}", guarded.issuer.token(name, &["user"])));
        Self { guarded, tokens }
    }

    fn request(&self, who: usize, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let own = [("authorization", self.tokens[who].as_str()), ("content-type", "application/json")];
        let headers = [&own, headers].concat();
        let body = body.map(ToString::to_string);
        self.guarded.world.client.request(method, path, &headers, body.as_deref().map(str::as_bytes)).unwrap()
    }

    fn get(&self, who: usize, path: &str) -> Answer {
        self.request(who, "GET", path, &[], None)
    }

    fn create(&self, who: usize, id: &str) -> Answer {
        let name = CUSTOMERS[who];
        let order = json!({"customer": name, "email": format!("{name}@example.org"),
            "lines": [{"sku": format!("sku-of-{name}"), "quantity": 1, "unit_price_cents": 5}]});
        let key = format!("key-of-{id}");
        self.request(who, "POST", &format!("/v1/order/{id}/create-order"), &[("idempotency-key", &key)], Some(&order))
    }

    /// Creates three orders of each customer, and waits until the view has them.
    fn fill(&self) {
        for (who, name) in CUSTOMERS.iter().enumerate() {
            for number in 0..3 {
                let created = self.create(who, &format!("{name}-{number}"));
                assert_eq!(created.status, 200, "{created}");
            }
        }
        eventually("the view has all orders", SOON, || {
            let all = self.guarded.send("GET", "/v1/views/orders?total=true", Some(&["admin"]), "");
            all.json()["total"] == 6
        });
    }
}

/// What an answer says, without what differs in each: the id that was asked for, the request's id and the time.
fn essence(answer: &Answer, id: &str) -> (u16, String) {
    let mut body = answer.json();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
        body.remove("position");
    }
    (answer.status, body.to_string().replace(id, "ID"))
}

#[test]
fn what_belongs_to_another_looks_as_if_it_did_not_exist() {
    let shop = Shop::open(|_| {});
    shop.fill();
    for (who, theirs) in [(0, "bert-1"), (1, "anna-1")] {
        for path in [
            "/v1/order/ID",
            "/v1/order/ID?version=1",
            "/v1/order/ID?at=2126-01-01T00:00:00Z",
            "/v1/order/ID/events",
            "/v1/order/ID/events?after=1&limit=5",
            "/v1/commands/order/ID/key-of-ID",
            "/v1/views/orders/ID",
        ] {
            let of = |id: &str| essence(&shop.get(who, &path.replace("ID", id)), id);
            assert_eq!(of(theirs), of("nobody-1"), "{path}");
            assert_eq!(of(theirs).0, 404, "{path}");
        }
        for (command, body) in [
            ("add-line", json!({"sku": "tea", "quantity": 1, "unit_price_cents": 5})),
            ("confirm-order", json!({})),
            ("cancel-order", json!({"reason": "mischief"})),
        ] {
            for headers in [&[][..], &[("if-match", "\"1\"")], &[("if-none-match", "*")], &[("idempotency-key", "k")]] {
                for query in ["", "?dry_run=true"] {
                    let of = |id: &str| {
                        let path = format!("/v1/order/{id}/{command}{query}");
                        essence(&shop.request(who, "POST", &path, headers, Some(&body)), id)
                    };
                    assert_eq!(of(theirs), of("nobody-1"), "{command}{query} {headers:?}");
                    assert_eq!(of(theirs).0, 403, "{command}{query} {headers:?}");
                }
            }
        }
        // The outcome of a command is its sender's, also for whoever knows its key.
        assert_eq!(problem(&shop.create(who, theirs)), is(403, "forbidden"));
    }
    let all = shop.guarded.send("GET", "/v1/order/anna-1/events", Some(&["admin"]), "").json();
    assert_eq!(all["events"].as_array().unwrap().len(), 1, "nothing happened to it");
}

#[test]
fn what_is_ones_own_can_be_seen_and_changed() {
    let shop = Shop::open(|_| {});
    shop.fill();
    let state = shop.get(0, "/v1/order/anna-1");
    assert_eq!((state.status, state.json()["state"]["owner"].clone()), (200, json!("anna")));
    assert_eq!(shop.get(0, "/v1/order/anna-1/events").json()["events"].as_array().unwrap().len(), 1);
    assert_eq!(shop.get(0, "/v1/commands/order/anna-1/key-of-anna-1").status, 200);
    assert_eq!(shop.get(0, "/v1/views/orders/anna-1").json()["document"]["owner"], "anna");
    let repeated = shop.create(0, "anna-1");
    assert_eq!((repeated.status, repeated.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(shop.request(0, "POST", "/v1/order/anna-1/confirm-order", &[], Some(&json!({}))).status, 200);
    let refused = shop.request(0, "POST", "/v1/order/anna-1/confirm-order", &[], Some(&json!({})));
    assert_eq!(problem(&refused), is(422, "rejected"));
}

#[test]
fn an_asynchronous_command_reaches_only_its_senders_own() {
    let shop = Shop::open(|config| config.commands.mode = CommandMode::Async);
    let async_create = |who: usize, id: &str| {
        let accepted = shop.create(who, id);
        assert_eq!(accepted.status, 202, "{accepted}");
        accepted.json()["location"].as_str().unwrap().to_owned()
    };
    let ended = |who: usize, location: &str| shop.get(who, &format!("{location}?wait=20s")).json();
    let location = async_create(0, "anna-1");
    assert_eq!(ended(0, &location)["status"], "succeeded");
    assert_eq!(problem(&shop.get(1, &location)), is(404, "operation-not-found"));
    let cancel = shop.request(1, "POST", "/v1/order/anna-1/cancel-order", &[], Some(&json!({"reason": "mischief"})));
    let outcome = ended(1, cancel.json()["location"].as_str().unwrap());
    assert_eq!(
        (&outcome["status"], &outcome["problem"]["type"]),
        (&json!("refused"), &json!("urn:dormouse:problem:forbidden"))
    );
    let all = shop.guarded.send("GET", "/v1/order/anna-1/events", Some(&["admin"]), "").json();
    assert_eq!(all["events"].as_array().unwrap().len(), 1, "{all}");
}

#[test]
fn a_stream_of_another_ones_history_does_not_begin() {
    let shop = Shop::open(|_| {});
    shop.fill();
    let stream =
        |id: &str| shop.request(0, "GET", &format!("/v1/order/{id}/events"), &[("accept", "text/event-stream")], None);
    assert_eq!(essence(&stream("bert-1"), "bert-1"), essence(&stream("nobody-1"), "nobody-1"));
    assert_eq!(problem(&shop.get(0, "/v1/events")), is(403, "forbidden"), "the log is everybody's");
}

/// A question to the list of orders, without the customer.
fn question() -> impl Strategy<Value = String> {
    let filters = prop::sample::select(vec![
        "",
        "filter[status]=open&",
        "filter[owner]=anna&",
        "filter[owner]=bert&",
        "filter[owner][ne]=anna&",
        "filter[owner][in]=anna,bert&",
        "filter[owner][prefix]=b&",
        "filter[customer][gte]=a&",
        "filter[total_cents][lte]=5&",
        "filter[customer]=bert&filter[owner]=bert&",
    ]);
    let sort = prop::sample::select(vec![
        "",
        "sort=owner&",
        "sort=-customer&",
        "sort=total_cents,-owner&",
        "sort=-placed_at&",
    ]);
    let fields = prop::sample::select(vec!["", "fields=customer&", "fields=owner,lines.sku&"]);
    (filters, sort, fields, 1..4_u8).prop_map(|(filters, sort, fields, limit)| {
        format!("{filters}{sort}{fields}limit={limit}&total=true").replace('[', "%5B").replace(']', "%5D")
    })
}

#[test]
fn lists_totals_and_pages_have_only_what_is_ones_own() {
    let shop = Shop::open(|config| config.cache.ttl = Duration::from_secs(3600));
    shop.fill();
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(questions in prop::collection::vec((question(), 0..2_usize), 1..4))| {
        let mut cursors = Vec::new();
        for (question, who) in &questions {
            // Both ask the same, so that one's answer is in the cache when the other asks.
            for who in [*who, 1 - who] {
                let (own, other) = (CUSTOMERS[who], CUSTOMERS[1 - who]);
                let mut next = Some(format!("/v1/views/orders?{question}"));
                let (mut seen, mut total) = (0, 0);
                while let Some(path) = next {
                    let answer = shop.get(who, &path);
                    prop_assert_eq!(answer.status, 200, "{}", answer);
                    let page = answer.json();
                    for item in page["items"].as_array().unwrap() {
                        prop_assert!(item["key"].as_str().unwrap().starts_with(own), "{item}");
                        prop_assert!(!item.to_string().contains(other), "{item}");
                        seen += 1;
                    }
                    total = page["total"].as_u64().unwrap();
                    next = page["next"].as_str().map(str::to_owned);
                    cursors.extend(next.clone());
                }
                prop_assert!(seen <= 3, "{seen}");
                prop_assert_eq!(total, seen, "the total counts what can be seen: {}", question);
            }
        }
        // A cursor that the other one got shows nothing of the other one.
        for path in cursors {
            for (who, own) in CUSTOMERS.iter().enumerate() {
                let page = shop.get(who, &path).json();
                for item in page["items"].as_array().unwrap() {
                    prop_assert!(item["key"].as_str().unwrap().starts_with(own), "{item}");
                }
            }
        }
    });
}
