//! The script of a client that makes aggregates send messages and set timers (`tests/failing/src/messaging`).

use serde_json::json;

use super::client::ClientAtWork;

/// Never funded, so it refuses deposits.
const CLOSED: &str = "closed";

/// More than any account has.
const TOO_MUCH: u64 = 1_000_000_000;

impl ClientAtWork {
    /// Two transfers, one of which may be refused, and two alarms.
    pub(super) fn transfer(&mut self, cycle: usize) {
        let (shop, skus) = (self.shop().to_owned(), self.skus());
        let account = |number: usize| format!("{shop}-{}", number % skus);
        let (from, to) = (account(self.number() + cycle), account(self.number() + cycle + 1));
        let id = |part: &str| format!("{shop}-{}-{cycle}-{part}", self.number());
        let (good, other) = (id("a"), id("b"));
        self.command("account", &from, "fund", json!({"amount": 100}));
        self.command("transfer", &good, "start", json!({"from": from, "to": to, "amount": 30}));
        let start = match cycle % 3 {
            0 => json!({"from": to, "to": from, "amount": TOO_MUCH}),
            1 => json!({"from": from, "to": CLOSED, "amount": 20}),
            _ => json!({"from": to, "to": from, "amount": 10}),
        };
        self.command("transfer", &other, "start", start);
        let alarm = format!("{shop}-{}", self.number());
        self.command("alarm", &alarm, "set", json!({"name": "soon", "after_ms": 2}));
        let later = format!("later-{}", cycle % 5);
        self.command("alarm", &alarm, "set", json!({"name": later, "after_ms": 500 + (cycle % 7) * 200}));
        // Set again at about the time at which it is due.
        self.command("alarm", &alarm, "set", json!({"name": "soon", "after_ms": (cycle % 12) * 10}));
        if cycle.is_multiple_of(4) {
            self.command("alarm", &alarm, "cancel", json!({"name": later}));
        }
    }
}
