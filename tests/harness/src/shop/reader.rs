//! A client that only reads the stock, again and again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Shared;
use crate::{Client, Ledger, Random};

/// The pause between two reads: short enough for many reads during one commit, and long enough to let others run.
const PAUSE: Duration = Duration::from_millis(2);

pub(super) struct Reader {
    shared: Arc<Shared>,
    random: Random,
}

impl Reader {
    pub(super) fn new(number: usize, shared: Arc<Shared>) -> Self {
        Self { shared, random: Random::seeded(number as u64) }
    }

    pub(super) fn look(mut self) {
        while !self.shared.is_closing() {
            let at = self.shared.place().clone();
            let connection = Client::with_timeout(&at.url, self.shared.settings.patience);
            while !self.shared.is_closing() && self.shared.place().moves == at.moves {
                let sku = self.random.below(self.shared.settings.skus as u64);
                read_state(&format!("inventory/sku-{sku}"), &connection, &self.shared.ledger);
                self.shared.wait_for_move(at.moves, PAUSE);
            }
        }
    }
}

/// Reads a state and records it. A read without an answer is not recorded.
pub(super) fn read_state(aggregate: &str, connection: &Client, ledger: &Ledger) {
    let invoked = ledger.now();
    let Ok(answer) = connection.get(&format!("/v1/{aggregate}")) else { return };
    match answer.status {
        200 => {
            let mut shown = answer.json();
            let version = shown["version"].as_u64().expect("a state has a version");
            ledger.saw(aggregate, invoked, version, shown["state"].take());
        }
        404 => ledger.saw(aggregate, invoked, 0, Value::Null),
        _ => {}
    }
}
