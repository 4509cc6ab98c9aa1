//! Clients that restock inventories, and remember how often they were told that it was done.

use std::time::Duration;

use dormouse_harness::{Client, Load, Report, Server, post_bytes};

/// As many that no client waits for another, as few that all can be looked at afterwards.
const INVENTORIES: usize = 200;

/// Everything that was sent to one server.
pub(crate) struct Restocking {
    address: std::net::SocketAddr,
    client: Client,
    acknowledged: Vec<u64>,
}

impl Restocking {
    pub(crate) fn of(server: &Server) -> Self {
        Self { address: server.address(), client: server.client(), acknowledged: vec![0; INVENTORIES] }
    }

    /// Lets so many clients restock for `time`: each as soon as it is answered, or all together at a rate.
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

    /// What was refused left no trace, and every request had an answer.
    #[track_caller]
    pub(crate) fn everything_acknowledged_is_there_and_nothing_else(&self) {
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
