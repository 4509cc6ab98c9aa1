//! Gates: calls wait before them while somebody holds them shut.

use tokio::sync::watch;

/// How many hold it shut.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<usize>);

/// Keeps a gate shut until it is dropped.
#[derive(Debug)]
#[must_use = "the gate opens when this is dropped"]
pub struct GateGuard(watch::Sender<usize>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Gate {
    pub(crate) fn hold(&self) -> GateGuard {
        self.0.send_modify(|holders| *holders += 1);
        GateGuard(self.0.clone())
    }

    pub(crate) async fn pass(&self) {
        let mut holders = self.0.subscribe();
        // The sender is `self`: this ends only when nobody holds it.
        drop(holders.wait_for(|holders| *holders == 0).await);
    }
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        self.0.send_modify(|holders| *holders -= 1);
    }
}
