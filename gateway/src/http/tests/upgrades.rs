//! A command that is repeated after an upgrade of the application.

use dormouse_kernel::{Aggregate, Context};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::support::{Cart, CartEvent, CartRejection, Server};

/// The cart in later code: commands have a new field or another name, and the reply has another type.
#[derive(Clone, Default, Serialize, Deserialize)]
struct LaterCart;

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
enum LaterCommand {
    #[serde(alias = "CreateCart")]
    OpenCart {
        owner: String,
        #[serde(default)]
        currency: String,
    },
    AddLines {
        lines: Vec<Line>,
    },
    Clear,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Line {
    sku: String,
    quantity: u32,
    gift: Option<bool>,
}

/// The former reply cannot be decoded as this type.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct LaterReply {
    total: u64,
}

impl Aggregate for LaterCart {
    const TYPE: &'static str = "cart";
    type Command = LaterCommand;
    type Event = CartEvent;
    type Reply = LaterReply;
    type Rejection = CartRejection;

    fn decide(&self, _command: LaterCommand, context: &mut Context<Self>) -> Result<LaterReply, CartRejection> {
        context.emit(CartEvent::Cleared);
        Ok(LaterReply { total: 7 })
    }

    fn evolve(&mut self, _event: &CartEvent) {}
}

const CREATE: &str = "/v1/cart/c-1/create-cart";
const KEY: [(&str, &str); 1] = [("idempotency-key", "k-1")];

#[tokio::test]
async fn a_retry_after_an_upgrade_gets_the_first_answer_unchanged() {
    let server = Server::start().await;
    let (create, add) = (json!({"owner": "Ada"}), json!({"lines": [{"sku": "tea", "quantity": 2}]}));
    let created = server.post_with(CREATE, &KEY, &create).await.json();
    let lines = [("idempotency-key", "k-2")];
    let added = server.post_with("/v1/cart/c-1/add-lines", &lines, &add).await.json();

    let server = server.replaced_by::<LaterCart>().await;
    for (path, key, body, first) in [
        (CREATE, &KEY, &create, &created),
        ("/v1/cart/c-1/open-cart", &KEY, &create, &created),
        ("/v1/cart/c-1/add-lines", &lines, &add, &added),
    ] {
        let again = server.post_with(path, key, body).await;
        assert_eq!((again.status, &again.json()), (200, first), "{path}");
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    let asked = server.get("/v1/commands/cart/c-1/k-1").await;
    assert_eq!((asked.status, &asked.json()), (200, &created));
    assert_eq!(server.head(), 2);
}

#[tokio::test]
async fn a_retry_after_a_roll_back_gets_the_answer_of_the_later_version() {
    let server = Server::start().await.replaced_by::<LaterCart>().await;
    let (path, lines) = ("/v1/cart/c-1/add-lines", json!({"lines": [{"sku": "tea", "quantity": 2}]}));
    let added = server.post_with(path, &KEY, &lines).await.json();
    assert_eq!(added["reply"], json!({"total": 7}));

    let server = server.replaced_by::<Cart>().await;
    let again = server.post_with(path, &KEY, &lines).await;
    assert_eq!((again.status, again.json()), (200, added));
}

#[tokio::test]
async fn other_content_or_another_command_is_refused_after_an_upgrade_too() {
    let server = Server::start().await;
    server.post_with(CREATE, &KEY, &json!({"owner": "Ada"})).await;
    let server = server.replaced_by::<LaterCart>().await;
    let refused = server.refused_post(CREATE, &KEY, &json!({"owner": "Bob"})).await;
    refused.is_problem(422, "key-reused");
    let refused = server.refused_post(CREATE, &KEY, &json!({"owner": "Ada", "currency": "EUR"})).await;
    refused.is_problem(422, "key-reused");
    server.refused_post("/v1/cart/c-1/clear", &KEY, &json!({})).await.is_problem(422, "key-reused");
}

#[tokio::test]
async fn a_retry_may_write_the_same_content_in_another_way() {
    let server = Server::start().await;
    let first = server.post_with(CREATE, &KEY, &json!({"owner": "Ada"})).await.json();
    let body = "{ \"owner\" : \"\\u0041da\" }";
    let headers = [KEY[0], ("content-type", "application/json")];
    let request = super::support::request(axum::http::Method::POST, CREATE, &headers, axum::body::Body::from(body));
    assert_eq!(server.send(request).await.json(), first);
}
