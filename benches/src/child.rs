//! The servers of the baselines: processes that end with this one.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

const START_BOUND: Duration = Duration::from_secs(10);

/// A process that is killed when this is dropped; it has nothing to lose.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a program that prints `listening on http://…` once it listens.
    pub(crate) fn announcing_itself(command: &mut Command) -> Result<Self> {
        let mut process = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {command:?}"))?;
        let stdout = process.stdout.take().context("it has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.with_context(|| format!("{command:?} did not start"))?.parse()?;
        Ok(Self { process, address })
    }

    /// Starts a program that got its address from us.
    pub(crate) fn listening_at(address: SocketAddr, command: &mut Command) -> Result<Self> {
        let process = command.stdout(Stdio::null()).spawn().with_context(|| format!("cannot run {command:?}"))?;
        let mut server = Self { process, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(server.process.try_wait()?.is_none(), "{command:?} ended at once");
            ensure!(started.elapsed() < START_BOUND, "{command:?} does not listen at {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// A free port of the loopback interface.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
