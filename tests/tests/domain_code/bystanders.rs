//! Clients of aggregates that do as they should, while another does not.

use std::time::Duration;

use dormouse_harness::{Client, Load, Loading, Server, eventually, post_bytes, quantile};
use serde_json::Value;

const CLIENTS: usize = 8;

/// Of all of them together; some per cent of what two cores can do.
const COMMANDS_PER_SECOND: f64 = 100.0;

/// Fewer than this say nothing about the slowest in a hundred.
const ENOUGH: usize = 20;

/// They are due within a quarter of a second.
const BEGINNING_BOUND: Duration = Duration::from_secs(30);

/// Some who restock an inventory, each their own.
pub(crate) struct Bystanders {
    loading: Loading,
    client: Client,
}

impl Bystanders {
    pub(crate) fn of(server: &Server) -> Self {
        let restock = |client, _| {
            post_bytes(&format!("/v1/inventory/sku-{client}/update-inventory"), r#"{"change":1,"reason":"delivery"}"#)
        };
        let loading = Load::new(server.address(), CLIENTS, restock).per_second(COMMANDS_PER_SECOND).start();
        Self { loading, client: server.client() }
    }

    /// Every one of them got what they asked for, 99 of 100 in time, and it is there.
    #[track_caller]
    pub(crate) fn were_all_served_within(self, p99: Duration) {
        // Some misbehaviour takes less than the bystanders need to begin.
        eventually("the bystanders have been at work", BEGINNING_BOUND, || self.loading.ended() >= ENOUGH);
        let report = self.loading.stop();
        assert!(report.count(200) >= ENOUGH, "{}", report.statuses());
        assert_eq!(report.count(200), report.requests.len(), "{}", report.statuses());
        let slowest = |part| quantile(part, report.requests.iter().map(|request| request.waited));
        assert!(slowest(0.99) < p99, "one in 100 waited {:?}, the slowest {:?}", slowest(0.99), slowest(1.0));
        for client in 0..CLIENTS {
            let acknowledged = report.requests.iter().filter(|request| request.client == client).count();
            let inventory: Value = self.client.get(&format!("/v1/inventory/sku-{client}")).unwrap().json();
            assert_eq!(inventory["version"], acknowledged, "{inventory}");
        }
    }
}
