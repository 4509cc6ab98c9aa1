//! Clients of well-behaved aggregates, while another aggregate misbehaves.

use std::time::Duration;

use dormouse_harness::{Client, Load, Loading, Server, eventually, post_bytes};
use serde_json::Value;

const CLIENTS: usize = 8;

/// The rate of all together: some per cent of what two cores can do.
const COMMANDS_PER_SECOND: f64 = 100.0;

/// This many answers include more than one of each client.
const ENOUGH: usize = 20;

/// The bound for these answers, which are due within a quarter of a second.
const ENOUGH_BOUND: Duration = Duration::from_secs(30);

/// Clients that restock, each its own inventory.
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

    /// They get answers now, whatever else happens.
    #[track_caller]
    pub(crate) fn are_served(&self) {
        let before = self.loading.ended();
        eventually("the bystanders are served", ENOUGH_BOUND, || self.loading.ended() >= before + ENOUGH);
    }

    /// Each of them got its answers, and its commands are in the log.
    #[track_caller]
    pub(crate) fn were_all_served(self) {
        // Some misbehaviour ends before all bystanders have started.
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
