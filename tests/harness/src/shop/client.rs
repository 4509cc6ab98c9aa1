//! One client. It orders, reserves by hand, ships and restocks, or follows another script, and reads the aggregates of
//! its answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::reader::read_state;
use super::{Place, Script, Shared};
use crate::{Client, Outcome};

/// The shortest and the longest pause between attempts at a server that does not answer. Without a pause, the clients
/// would use the processor time that the server needs to start.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(160));

/// Several clients order for one customer.
const CUSTOMERS: usize = 7;

/// A client reads the aggregate of its last answer after this many answers.
const ANSWERS_PER_READ: usize = 3;

pub(super) struct ClientAtWork {
    number: usize,
    shared: Arc<Shared>,
    at: Place,
    connection: Client,
    sent: usize,
    answered: usize,
}

impl ClientAtWork {
    pub(super) fn new(number: usize, shared: Arc<Shared>) -> Self {
        let at = shared.place().clone();
        let connection = Client::with_timeout(&at.url, shared.settings.patience);
        Self { number, shared, at, connection, sent: 0, answered: 0 }
    }

    pub(super) fn work(mut self) {
        let mut cycle = 0;
        while !self.is_done() {
            cycle += 1;
            match self.shared.settings.script {
                Script::Orders => self.order(cycle),
                Script::Messages => self.transfer(cycle),
            }
        }
    }

    pub(super) const fn number(&self) -> usize {
        self.number
    }

    pub(super) fn shop(&self) -> &str {
        &self.shared.settings.name
    }

    pub(super) fn skus(&self) -> usize {
        self.shared.settings.skus
    }

    fn order(&mut self, cycle: usize) {
        let order_of = |cycle: usize| format!("{}-{}-{cycle}", self.shop(), self.number);
        let (order, before) = (order_of(cycle), order_of(cycle - 1));
        // The order reserves its own stock when it is confirmed, by messages.
        let by_hand = format!("{order}-by-hand");
        let sku = format!("sku-{}", (self.number + cycle) % self.skus());
        let line = json!({"sku": sku, "quantity": 2, "unit_price_cents": 995});
        let customer = format!("c-{}", self.number % CUSTOMERS);
        let create = json!({"customer": customer, "email": "ada@example.org", "lines": [line]});
        let last = if cycle.is_multiple_of(2) { "commit-stock" } else { "release-stock" };
        self.command("order", &order, "create-order", create);
        self.command("order", &order, "add-line", line);
        self.command("inventory", &sku, "update-inventory", json!({"change": 3, "reason": "delivery"}));
        self.command("inventory", &sku, "reserve-stock", json!({"order": by_hand, "quantity": 2}));
        // Always refused: there is never so much stock.
        self.command("inventory", &sku, "update-inventory", json!({"change": -1_000_000_000, "reason": "fire"}));
        self.command("order", &order, "confirm-order", json!({}));
        match cycle % 4 {
            // The order of the cycle before: it is refused if its stock is not reserved yet, or cannot be.
            0 => self.command("order", &before, "ship-order", json!({"tracking": before})),
            1 => self.command("order", &order, "cancel-order", json!({"reason": "too late"})),
            _ => {}
        }
        self.command("inventory", &sku, last, json!({"order": by_hand}));
    }

    fn is_done(&self) -> bool {
        self.shared.is_closing() || self.shared.sent.load(Ordering::SeqCst) >= self.shared.settings.commands
    }

    /// Sends a command with the same key until its outcome is known or the shop closes.
    pub(super) fn command(&mut self, kind: &str, id: &str, name: &str, body: Value) {
        if self.is_done() {
            return;
        }
        self.sent += 1;
        self.shared.sent.fetch_add(1, Ordering::SeqCst);
        let key = format!("{}-k-{}-{}", self.shared.settings.name, self.number, self.sent);
        let aggregate = format!("{kind}/{id}");
        let path = format!("/v1/{aggregate}/{name}");
        let (began, mut pause) = (Instant::now(), PAUSE.0);
        loop {
            self.follow();
            let attempt = self.shared.ledger.invoke(&aggregate, &key, json!({"path": path, "body": body}));
            let answer = self.connection.post_with(&path, &[("Idempotency-Key", &key)], &body);
            match self.shared.ledger.answer(attempt, Outcome::from(&answer)) {
                Outcome::Ok { .. } => {
                    self.shared.acknowledged.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                Outcome::Refused { .. } => break,
                Outcome::Unknown => self.shared.wait_for_move(self.at.moves, pause),
            }
            pause = (pause * 2).min(PAUSE.1);
            if self.shared.is_closing() {
                return;
            }
            if began.elapsed() > self.shared.settings.longest_outage {
                let outage = self.shared.settings.longest_outage;
                self.shared.give_up(format!("{path} with key {key} got no answer for {outage:?}, at last {answer:?}"));
                return;
            }
        }
        self.answered += 1;
        if self.answered.is_multiple_of(ANSWERS_PER_READ) {
            read_state(&aggregate, &self.connection, &self.shared.ledger);
        }
    }

    /// Connects to the server's current address.
    fn follow(&mut self) {
        let place = self.shared.place().clone();
        if place.moves != self.at.moves {
            self.connection = Client::with_timeout(&place.url, self.shared.settings.patience);
            self.at = place;
        }
    }
}
