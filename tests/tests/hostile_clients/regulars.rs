//! Well-behaved clients.

use std::time::Duration;

use dormouse_harness::{Client, Load, Server, post_bytes};

const CLIENTS: usize = 8;

/// The rate of all together: some per cent of what two cores can do.
const COMMANDS_PER_SECOND: f64 = 250.0;

/// The time for which they run.
const WINDOW: Duration = Duration::from_secs(3);

/// Clients that restock, each its own inventory.
pub(crate) struct Regulars {
    address: std::net::SocketAddr,
    client: Client,
    acknowledged: [u64; CLIENTS],
}

impl Regulars {
    pub(crate) fn of(server: &Server) -> Self {
        Self { address: server.address(), client: server.client(), acknowledged: [0; CLIENTS] }
    }

    /// Runs them for a while. Each of them gets its answers.
    #[track_caller]
    pub(crate) fn work(&mut self) {
        let restock = |client, _| {
            post_bytes(&format!("/v1/inventory/sku-{client}/update-inventory"), r#"{"change":1,"reason":"delivery"}"#)
        };
        let report = Load::new(self.address, CLIENTS, restock).per_second(COMMANDS_PER_SECOND).run(WINDOW);
        assert_eq!(report.count(200), report.requests.len(), "{}", report.statuses());
        report.requests.iter().for_each(|request| self.acknowledged[request.client] += 1);
    }

    /// Everything that was acknowledged is in the log once.
    #[track_caller]
    pub(crate) fn were_all_served(&self) {
        for (number, acknowledged) in self.acknowledged.iter().enumerate() {
            let inventory = self.client.get(&format!("/v1/inventory/sku-{number}")).unwrap().json();
            assert_eq!(inventory["version"], *acknowledged, "{inventory}");
        }
    }
}
