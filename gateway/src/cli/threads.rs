//! The threads of a server, and what happens when domain code does not return.
//!
//! A server has two tokio runtimes: one for the network, the journal and the stores of views, and one for the code of
//! aggregates and projections. Code that does not return keeps its thread, and nothing can take the thread back.
//! Because that thread belongs to the domain's runtime, the server still accepts requests, commits, answers and reports
//! its health. Only sockets that handlers and webhooks open belong to the domain's runtime, so no connection of a client or
//! of a store waits for one of its threads.
//!
//! Limits:
//! - The server survives 15 calls that do not return: the 16th thread runs the rest of the domain code.
//! - With 16 such calls no aggregate decides and no projection projects, until one of the calls returns. The network,
//!   health checks and reads of views continue.
//! - Only a restart frees a thread whose code does not return.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads for domain code. All but one may be lost to code that does not return. An idle thread costs only its stack.
/// More threads would give an aggregate type that loops a larger share of the processors.
const DOMAIN_THREADS: usize = 16;

/// The two runtimes of a server.
pub(super) struct Threads {
    server: Runtime,
    domain: Runtime,
}

impl Threads {
    pub(super) fn start() -> io::Result<Self> {
        let server = Builder::new_multi_thread().thread_name("server").enable_all().build()?;
        let domain =
            Builder::new_multi_thread().worker_threads(DOMAIN_THREADS).thread_name("domain").enable_all().build()?;
        Ok(Self { server, domain })
    }

    /// The runtime of domain code.
    pub(super) fn domain(&self) -> &Handle {
        self.domain.handle()
    }

    /// Runs the future, and every task that it spawns, on the server's runtime.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.server.block_on(future)
    }

    /// Ends both runtimes. Tasks that still run get `timeout` to end.
    pub(super) fn shut_down(self, timeout: Duration) {
        self.server.shutdown_timeout(timeout);
        self.domain.shutdown_timeout(timeout);
    }
}
