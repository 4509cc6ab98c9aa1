//! Clients of aggregates that do as they should, while another does not.

use std::time::Duration;

use dormouse_harness::{Client, Load, Loading, Server, eventually, post_bytes};
use serde_json::Value;

const CLIENTS: usize = 8;

/// Of all of them together; some per cent of what two cores can do.
const COMMANDS_PER_SECOND: f64 = 100.0;

/// Each of them is among so many, more than once.
const ENOUGH: usize = 20;

/// They are due within a quarter of a second.
const ENOUGH_BOUND: Duration = Duration::from_secs(30);

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

    /// They are answered now, whatever else goes on.
    #[track_caller]
    pub(crate) fn are_served(&self) {
        let before = self.loading.ended();
        eventually("the bystanders are served", ENOUGH_BOUND, || self.loading.ended() >= before + ENOUGH);
    }

    /// Every one of them got what they asked for, and it is there.
    #[track_caller]
    pub(crate) fn were_all_served(self) {
        // Some misbehaviour takes less than the bystanders need to begin.
        self.are_served();
        let report = self.loading.stop();
        assert!(report.count(200) >= ENOUGH, "{}", report.statuses());
        assert_eq!(report.count(200), report.requests.len(), "{}", report.statuses());
        for client in 0..CLIENTS {
            let acknowledged = report.requests.iter().filter(|request| request.client == client).count();
            let inventory: Value = self.client.get(&format!("/v1/inventory/sku-{client}")).unwrap().json();
            assert_eq!(inventory["version"], acknowledged, "{inventory}");
        }
    }
}
