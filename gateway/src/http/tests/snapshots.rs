//! Snapshots compared with their events.

use dormouse_config::SnapshotStrategy;
use dormouse_kernel::{Aggregate, Context};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::support::{CartCommand, CartEvent, CartRejection, CartReply, Line, Server};

/// The cart in later code: it has the same fields, but writes owners in another way.
#[derive(Clone, Default, Serialize, Deserialize)]
struct LoudCart {
    owner: Option<String>,
    lines: Vec<Line>,
}

impl Aggregate for LoudCart {
    const TYPE: &'static str = "cart";
    type Command = CartCommand;
    type Event = CartEvent;
    type Reply = CartReply;
    type Rejection = CartRejection;

    fn decide(&self, _command: CartCommand, _context: &mut Context<Self>) -> Result<CartReply, CartRejection> {
        Err(CartRejection::Empty)
    }

    fn evolve(&mut self, event: &CartEvent) {
        if let CartEvent::Created { owner } = event {
            self.owner = Some(owner.to_uppercase());
        }
    }
}

async fn snapshotted() -> Server {
    let server = Server::with(|config| {
        config.snapshots.strategy = SnapshotStrategy::EveryN;
        config.snapshots.threshold = 3.try_into().unwrap();
    })
    .await;
    for id in ["c-1", "c-2"] {
        server.fill_cart(id).await;
    }
    server
}

async fn verified(server: &Server, order: Value) -> Value {
    server.post("/admin/snapshots/verify", &order).await.json()
}

#[tokio::test]
async fn snapshots_that_differ_from_their_events_are_named() {
    let server = snapshotted().await.replaced_by::<LoudCart>().await;
    assert_eq!(server.get("/admin/snapshots").await.json(), json!([{"aggregate": "cart", "aggregates": 2}]));
    let of = |id: &str| json!({"id": id, "versions": [3]});
    let all = verified(&server, json!({"aggregate": "cart"})).await;
    let expected = |count: u64, differing: Vec<Value>| json!({"aggregates": count, "snapshots": count, "unused": 0, "differing": differing, "next": null});
    assert_eq!(all, expected(2, vec![of("c-1"), of("c-2")]));
    let one = verified(&server, json!({"aggregate": "cart", "id": "c-2"})).await;
    assert_eq!(one, expected(1, vec![of("c-2")]));
    let rest = verified(&server, json!({"aggregate": "cart", "after": "c-1"})).await;
    assert_eq!(rest, expected(1, vec![of("c-2")]));
}

#[tokio::test]
async fn correct_snapshots_are_counted_and_unknown_types_are_refused() {
    let server = snapshotted().await.replaced_by::<super::support::Cart>().await;
    let found = verified(&server, json!({"aggregate": "cart"})).await;
    assert_eq!((&found["snapshots"], &found["differing"]), (&json!(2), &json!([])));
    let none = server.post("/admin/snapshots/verify", &json!({"aggregate": "card"})).await;
    none.is_problem(404, "unknown-aggregate-type");
    server
        .post("/admin/snapshots/verify", &json!({"aggregate": "cart", "id": ""}))
        .await
        .is_problem(400, "invalid-parameter");
}
