//! Sixteen clients of a shop: they order, reserve, ship and restock, and write down what they were told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use dormouse_harness::{Client, Ledger, Outcome, eventually};
use serde_json::{Value, json};

const CLIENTS: usize = 16;
const SKUS: usize = 6;

/// The shop while it is open.
pub(crate) struct Shop {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    ledger: Ledger,
    url: Mutex<String>,
    closing: AtomicBool,
    acknowledged: AtomicUsize,
}

impl Shop {
    pub(crate) fn open(url: &str) -> Self {
        let shared = Arc::new(Shared {
            ledger: Ledger::new(),
            url: Mutex::new(url.to_owned()),
            closing: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
        });
        let client = |number| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || ClientAtWork { number, shared, sent: 0 }.work())
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { shared, clients }
    }

    /// The server answers at another address now.
    pub(crate) fn moved_to(&self, url: &str) {
        *self.shared.url.lock().unwrap() = url.to_owned();
    }

    pub(crate) fn wait_for_acknowledgements(&self, count: usize) {
        let before = self.shared.acknowledged.load(Ordering::SeqCst);
        eventually("clients are answered", Duration::from_secs(60), || {
            self.shared.acknowledged.load(Ordering::SeqCst) >= before + count
        });
    }

    /// Lets every client finish what it does, and gives what they wrote down.
    pub(crate) fn close(self) -> Ledger {
        self.shared.closing.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().unwrap();
        }
        let Ok(shared) = Arc::try_unwrap(self.shared) else { panic!("a client is still at work") };
        shared.ledger
    }
}

struct ClientAtWork {
    number: usize,
    shared: Arc<Shared>,
    sent: usize,
}

impl ClientAtWork {
    fn work(mut self) {
        let mut round = 0;
        while !self.shared.closing.load(Ordering::SeqCst) {
            round += 1;
            let order = format!("o-{}-{round}", self.number);
            let sku = format!("sku-{}", (self.number + round) % SKUS);
            let line = json!({"sku": sku, "quantity": 2, "unit_price_cents": 995});
            let create = json!({"customer": "c-1", "email": "ada@example.org", "lines": [line]});
            self.command("order", &order, "create-order", create);
            self.command("order", &order, "add-line", line);
            self.command("inventory", &sku, "update-inventory", json!({"change": 3, "reason": "delivery"}));
            self.command("inventory", &sku, "reserve-stock", json!({"order": order, "quantity": 2}));
            // Refused, whatever happened before: nobody has so much.
            self.command("inventory", &sku, "update-inventory", json!({"change": -1_000_000, "reason": "fire"}));
            self.command("order", &order, "confirm-order", json!({}));
            let last = if round % 2 == 0 { "commit-stock" } else { "release-stock" };
            self.command("inventory", &sku, last, json!({"order": order}));
        }
    }

    /// Sends a command until its outcome is known or the shop closes, each time with the same key.
    fn command(&mut self, kind: &str, id: &str, name: &str, body: Value) {
        self.sent += 1;
        let key = format!("k-{}-{}", self.number, self.sent);
        let path = format!("/v1/{kind}/{id}/{name}");
        let recorded = json!({"path": path, "body": body});
        for _ in 0..200 {
            let url = self.shared.url.lock().unwrap().clone();
            let client = Client::with_timeout(&url, Duration::from_secs(10));
            let attempt = self.shared.ledger.invoke(format!("{kind}/{id}"), &key, recorded.clone());
            let answer = client.post_with(&path, &[("Idempotency-Key", &key)], &body);
            match self.shared.ledger.answer(attempt, Outcome::from(&answer)) {
                Outcome::Ok { .. } => {
                    self.shared.acknowledged.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Outcome::Refused { .. } => return,
                // The server is down or busy: not waiting would only burn the processor it needs to come back.
                Outcome::Unknown => std::thread::sleep(Duration::from_millis(20)),
            }
            if self.shared.closing.load(Ordering::SeqCst) {
                return;
            }
        }
        panic!("{path} with key {key} got no answer at all");
    }
}
