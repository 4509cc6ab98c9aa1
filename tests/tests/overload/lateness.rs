//! How late a busy machine lets a thread run that should: what no server can be blamed for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dormouse_harness::quantile;

const NAP: Duration = Duration::from_millis(5);

/// A thread that naps, and looks how much too long.
pub(crate) struct Lateness {
    enough: Arc<AtomicBool>,
    naps: JoinHandle<Vec<Duration>>,
}

impl Lateness {
    pub(crate) fn watch() -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&enough);
        let naps = thread::spawn(move || {
            let mut late = Vec::new();
            while !seen.load(Ordering::Relaxed) {
                let fell_asleep = Instant::now();
                thread::sleep(NAP);
                late.push(fell_asleep.elapsed().saturating_sub(NAP));
            }
            late
        });
        Self { enough, naps }
    }

    /// What 99 of 100 naps were not later than.
    pub(crate) fn p99(self) -> Duration {
        self.enough.store(true, Ordering::Relaxed);
        quantile(0.99, self.naps.join().unwrap())
    }
}
