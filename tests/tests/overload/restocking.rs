//! Clients that restock inventories, and count their acknowledgements.

use std::time::Duration;

use dormouse_harness::{Client, Load, Report, Server, post_bytes};

/// So many that no client waits for another, and so few that all can be checked afterwards.
const INVENTORIES: usize = 200;

/// All requests to one server.
pub(crate) struct Restocking {
    address: std::net::SocketAddr,
    client: Client,
    acknowledged: Vec<u64>,
}

impl Restocking {
    pub(crate) fn of(server: &Server) -> Self {
        Self { address: server.address(), client: server.client(), acknowledged: vec![0; INVENTORIES] }
    }

    /// Lets this many clients restock for `time`: each sends when it has its answer, or all together send at a rate.
    pub(crate) fn run(&mut self, clients: usize, per_second: Option<f64>, time: Duration) -> Report {
        let restock = |client, _| post_bytes(&restock(client), r#"{"change":1,"reason":"delivery"}"#);
        let load = Load::new(self.address, clients, restock);
        let load = if let Some(rate) = per_second { load.per_second(rate) } else { load };
        let report = load.run(time);
        for request in report.with_status(200) {
            self.acknowledged[request.client % INVENTORIES] += 1;
        }
        report
    }

    /// Refused commands left no trace, and every request got an answer.
    #[track_caller]
    pub(crate) fn each_acknowledged_command_is_in_the_log_and_no_other(&self) {
        for (number, acknowledged) in
            self.acknowledged.iter().enumerate().filter(|(_, acknowledged)| **acknowledged > 0)
        {
            let inventory = self.client.get(&format!("/v1/inventory/sku-{number}")).unwrap().json();
            assert_eq!(inventory["version"], *acknowledged, "sku-{number}: {inventory}");
        }
    }
}

pub(crate) fn restock(client: usize) -> String {
    format!("/v1/inventory/sku-{}/update-inventory", client % INVENTORIES)
}
