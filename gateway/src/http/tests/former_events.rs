//! Filters by the names of events, after the application has renamed some.

use dormouse_kernel::{Aggregate, Context, DomainEvent, RawEvent, Upcasters};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::support::{CartCommand, CartRejection, CartReply, Server};

/// The cart in later code.
#[derive(Clone, Default, Serialize, Deserialize)]
struct LaterCart;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
enum LaterEvent {
    #[serde(alias = "Created")]
    Opened {
        owner: String,
    },
    /// Its former name is `LineAdded`.
    ItemAdded {
        sku: String,
        quantity: u32,
    },
    /// Before, `Cleared` was this event together with the next.
    ItemsRemoved,
    NoteRemoved,
}

impl DomainEvent for LaterEvent {
    fn upcasters() -> Upcasters {
        let parts = |()| [RawEvent::new("ItemsRemoved", 1, &()), RawEvent::new("NoteRemoved", 1, &())];
        Upcasters::new().rename("LineAdded", "ItemAdded").split("Cleared", 1, parts)
    }
}

impl Aggregate for LaterCart {
    const TYPE: &'static str = "cart";
    type Command = CartCommand;
    type Event = LaterEvent;
    type Reply = CartReply;
    type Rejection = CartRejection;

    fn decide(&self, _command: CartCommand, context: &mut Context<Self>) -> Result<CartReply, CartRejection> {
        context.emit(LaterEvent::ItemAdded { sku: "cup".to_owned(), quantity: 1 });
        serde_json::from_value(json!({"lines": 1})).map_err(|_| CartRejection::Empty)
    }

    fn evolve(&mut self, _event: &LaterEvent) {}
}

/// Created, LineAdded, LineAdded, Cleared; then, by later code, ItemAdded.
async fn renamed() -> Server {
    let server = Server::start().await;
    server.fill_cart("c-1").await;
    assert_eq!(server.post("/v1/cart/c-1/clear", &json!({})).await.status, 200);
    let server = server.replaced_by::<LaterCart>().await;
    assert_eq!(server.post("/v1/cart/c-1/look", &json!({})).await.status, 200);
    server
}

/// Current and former names, each with the positions of the events that a filter by it must find.
const FOUND: [(&str, &[u64]); 8] = [
    ("Opened", &[1]),
    ("Created", &[1]),
    ("ItemAdded", &[2, 3, 5]),
    ("LineAdded", &[2, 3, 5]),
    ("ItemsRemoved", &[4]),
    ("NoteRemoved", &[4]),
    ("Cleared", &[4]),
    ("Opened,NoteRemoved", &[1, 4]),
];

#[tokio::test]
async fn the_catalogue_names_every_event_with_its_former_names_and_schema() {
    let server = renamed().await;
    let catalogue = server.get("/admin/catalogue").await.json();
    let events = catalogue["events"].as_array().unwrap();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["Opened", "ItemAdded", "ItemsRemoved", "NoteRemoved"]);
    assert_eq!(events[0]["former_names"], json!(["Created"]));
    let added = &events[1];
    assert_eq!((&added["aggregate"], &added["schema_version"]), (&json!("cart"), &json!(1)));
    assert_eq!(added["former_names"], json!(["LineAdded"]));
    assert_eq!(added["schema"]["properties"]["sku"]["type"], "string");
    assert_eq!(server.get("/admin/catalogue?type=cart").await.json(), catalogue);
    server.get("/admin/catalogue?type=cards").await.is_problem(404, "unknown-aggregate-type");
    server.get("/admin/catalogue?types=cart").await.is_problem(400, "unknown-parameter");
}

#[tokio::test]
async fn a_filter_by_a_current_or_former_name_finds_events_stored_under_either() {
    let server = renamed().await;
    for (name, expected) in FOUND {
        for types in ["", "&type=cart"] {
            let page = server.get(&format!("/v1/events?event={name}{types}")).await.json();
            let found: Vec<Value> = page["events"].as_array().unwrap().iter().map(|e| e["position"].clone()).collect();
            assert_eq!(json!(found), json!(expected), "{name} {types}");
        }
    }
    let stored = server.get("/v1/events?event=ItemAdded&limit=1").await.json();
    assert_eq!(stored["events"][0]["type"], "LineAdded", "an event is shown as it was stored");
    server.get("/v1/events?event=Deleted").await.is_problem(404, "unknown-event-type");
}

#[tokio::test]
async fn streams_find_events_stored_under_former_names() {
    let server = renamed().await;
    for path in ["/v1/events", "/v1/cart/c-1/events"] {
        for (name, expected) in FOUND {
            let mut following = server.follow(&format!("{path}?event={name}")).await;
            let events = following.events(expected.len()).await;
            assert_eq!(events.iter().map(|(id, _)| *id).collect::<Vec<_>>(), expected, "{path} {name}");
        }
    }
}
