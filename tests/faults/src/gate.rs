//! Gates: calls wait while a gate is closed.

use tokio::sync::watch;

/// The number of guards that keep it closed.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<usize>);

/// Keeps a gate closed until it is dropped.
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
        // The sender is `self`, so this ends only when no guard is left.
        drop(holders.wait_for(|holders| *holders == 0).await);
    }
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        self.0.send_modify(|holders| *holders -= 1);
    }
}
