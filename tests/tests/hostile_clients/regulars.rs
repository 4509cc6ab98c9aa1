//! Clients that do as they should, and how long they wait.

use std::time::Duration;

use dormouse_harness::{Client, Load, Server, post_bytes, quantile};

const CLIENTS: usize = 8;

/// Of all of them together: some per cent of what two cores can do.
const COMMANDS_PER_SECOND: f64 = 250.0;

/// For how long latencies are taken at a time.
const WINDOW: Duration = Duration::from_secs(3);

/// Windows of each kind in one comparison, in turn.
const WINDOWS: usize = 3;

/// Comparisons, of which one must be good: a machine has other things to do now and then, a regression is there always.
const ATTEMPTS: usize = 3;

/// Some who restock an inventory, each their own.
pub(crate) struct Regulars {
    address: std::net::SocketAddr,
    client: Client,
    acknowledged: [u64; CLIENTS],
}

impl Regulars {
    pub(crate) fn of(server: &Server) -> Self {
        let regulars = Self { address: server.address(), client: server.client(), acknowledged: [0; CLIENTS] };
        // What is asleep yet wakes.
        let mut warm = regulars;
        warm.p99();
        warm
    }

    /// What 99 of 100 of them did not wait longer for. All must be served.
    #[track_caller]
    fn p99(&mut self) -> Duration {
        let restock = |client, _| {
            post_bytes(&format!("/v1/inventory/sku-{client}/update-inventory"), r#"{"change":1,"reason":"delivery"}"#)
        };
        let report = Load::new(self.address, CLIENTS, restock).per_second(COMMANDS_PER_SECOND).run(WINDOW);
        assert_eq!(report.count(200), report.requests.len(), "{}", report.statuses());
        report.requests.iter().for_each(|request| self.acknowledged[request.client] += 1);
        quantile(0.99, report.requests.iter().map(|request| request.waited))
    }

    /// Everything that was acknowledged is there, once.
    #[track_caller]
    pub(crate) fn were_all_served(&self) {
        for (number, acknowledged) in self.acknowledged.iter().enumerate() {
            let inventory = self.client.get(&format!("/v1/inventory/sku-{number}")).unwrap().json();
            assert_eq!(inventory["version"], *acknowledged, "{inventory}");
        }
    }
}

/// The median p99 with and without a crowd about, windows of both in turn, until `is_good` of one comparison; otherwise
/// the figures of the last.
#[track_caller]
pub(crate) fn latencies_side_by_side<C>(
    regulars: &mut Regulars,
    mut gather: impl FnMut() -> C,
    is_good: impl Fn(Duration, Duration) -> bool,
) -> Result<(), (Duration, Duration)> {
    let mut last = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ATTEMPTS {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..WINDOWS {
            without.push(regulars.p99());
            let crowd = gather();
            with.push(regulars.p99());
            drop(crowd);
        }
        last = (quantile(0.5, with), quantile(0.5, without));
        eprintln!("p99 with hostile clients about {:?}, without {:?}", last.0, last.1);
        if is_good(last.0, last.1) {
            return Ok(());
        }
    }
    Err(last)
}
