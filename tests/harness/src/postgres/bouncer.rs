//! PgBouncer in front of a cluster, as many operators run it between an application and PostgreSQL.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{PORT_ATTEMPTS, Postgres, START_BOUND, STOP_BOUND, free_port};
use crate::guard::{Guarded, Orphan, guarded};

/// A running PgBouncer. It stops when it is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    server: Guarded,
    port: u16,
}

impl PgBouncer {
    /// Starts PgBouncer in front of a cluster, in this mode (`session`, `transaction`, `statement`). It ignores these
    /// parameters of its clients' startup messages.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(postgres: &Postgres, mode: &str, ignored: &str) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            if let Some(bouncer) = Self::try_start(postgres, mode, ignored) {
                return bouncer;
            }
        }
        panic!("PgBouncer does not start; tests/run installs it");
    }

    /// The URL of a database through PgBouncer.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn try_start(postgres: &Postgres, mode: &str, ignored: &str) -> Option<Self> {
        let port = free_port();
        let file = postgres.directory.path().join(format!("pgbouncer-{port}.ini"));
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\nignore_startup_parameters = {ignored}\n",
            postgres.port
        );
        fs::write(&file, settings).expect("a file can be written");
        let mut command = guarded(program());
        command.arg("-q").arg(file).stdout(Stdio::null()).stderr(Stdio::null());
        postgres.as_account(&mut command);
        let mut server = Guarded::start(command, &Orphan { signal: "TERM", directory: None });
        let deadline = Instant::now() + START_BOUND;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if server.status().is_some() || Instant::now() > deadline {
                return None;
            }
            sleep(Duration::from_millis(20));
        }
        Some(Self { server, port })
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.server.signal(Signal::TERM);
        self.server.wait(STOP_BOUND);
    }
}

/// Debian installs it in a directory that is only in root's PATH.
fn program() -> &'static str {
    const DEBIAN: &str = "/usr/sbin/pgbouncer";
    if Path::new(DEBIAN).is_file() { DEBIAN } else { "pgbouncer" }
}
