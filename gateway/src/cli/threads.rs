//! The threads of a server, in two runtimes: one for the network, the journal and the views' stores, one for domain code.
//!
//! Tokio cannot take a thread back from code that does not return. So the code of aggregates and projections has threads of
//! its own, and whatever it does there, the server's runtime takes requests, commits, answers and reports its health.
//! No socket belongs to the domain's runtime, so that none goes unwatched when its threads are busy.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads for domain code. All but one may be kept by code that does not return, and the rest is served; those with nothing
/// to do cost nothing but their stacks. More would let a looping aggregate type take as many of the processors' turns.
const DOMAIN_THREADS: usize = 16;

/// The threads that everything runs on.
pub(super) struct Threads {
    server: Runtime,
    domain: Runtime,
}

impl Threads {
    pub(super) fn start() -> io::Result<Self> {
        let server = Builder::new_multi_thread().thread_name("server").enable_all().build()?;
        let domain =
            Builder::new_multi_thread().worker_threads(DOMAIN_THREADS).thread_name("domain").enable_time().build()?;
        Ok(Self { server, domain })
    }

    /// Where domain code runs.
    pub(super) fn domain(&self) -> &Handle {
        self.domain.handle()
    }

    /// Runs the future on the server's threads, and everything it spawns meanwhile.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.server.block_on(future)
    }

    /// Ends them all; what is still running on them gets so long.
    pub(super) fn shut_down(self, leftovers: Duration) {
        self.server.shutdown_timeout(leftovers);
        self.domain.shutdown_timeout(leftovers);
    }
}
