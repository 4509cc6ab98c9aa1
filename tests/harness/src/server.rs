//! The real binary as a process. Tests start, kill, suspend and continue it, as a machine or an operator would.

mod start;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use crate::logs::{Logs, await_last_lines};
use crate::{Client, eventually};
pub use start::StartError;
use start::{Directory, Launched, launch};

/// A thread inside a system call of the disk stops only after the call has returned.
const SUSPENDED_BOUND: Duration = Duration::from_secs(30);

/// Log lines that a failure shows.
const FAILURE_LOG_LINES: usize = 40;

/// A `dormouse serve` process. It is killed when this is dropped, and when the test process ends.
#[derive(Debug)]
pub struct Server {
    settings: ServerBuilder,
    directory: Directory,
    logs: Logs,
    launched: Launched,
}

/// How to start a [`Server`].
#[derive(Debug, Clone, Default)]
pub struct ServerBuilder {
    through: Vec<OsString>,
    program: Option<PathBuf>,
    settings: Vec<String>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    working_directory: Option<PathBuf>,
}

impl Server {
    /// Without further settings: SQLite under `./data` of a temporary directory, and all defaults.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// `http://127.0.0.1:port`. The port changes with [`Server::restart`].
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.launched.address
    }

    /// A new client for it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.url())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.launched.process.id()
    }

    /// Its working directory, which has its files by default.
    #[must_use]
    pub fn working_directory(&self) -> &Path {
        self.directory.path()
    }

    /// SIGKILL; returns when the process is gone.
    pub fn kill(&mut self) {
        self.launched.process.kill();
    }

    /// SIGTERM; does not wait. See [`Server::wait`].
    pub fn terminate(&self) {
        self.launched.process.signal(Signal::TERM);
    }

    /// SIGSTOP, which plays a machine that hangs or a long pause.
    pub fn suspend(&self) {
        self.launched.process.signal(Signal::STOP);
        // The signal is sent to the process, and each thread runs on until it notices.
        eventually("all of its threads stand still", SUSPENDED_BOUND, || all_threads_are_stopped(self.pid()));
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.launched.process.signal(Signal::CONT);
    }

    /// SIGHUP: it reads certificates and keys again.
    pub fn signal_reload(&self) {
        self.launched.process.signal(Signal::HUP);
    }

    /// Whether the process still runs; a suspended one does.
    pub fn is_running(&mut self) -> bool {
        self.launched.process.status().is_none()
    }

    /// Waits until the process has ended. The logs have its last lines then.
    ///
    /// # Panics
    /// When it still runs after `timeout`; the message shows its last log lines.
    #[track_caller]
    pub fn wait(&mut self, timeout: Duration) -> ExitStatus {
        match self.launched.process.wait(timeout) {
            Some(status) => {
                await_last_lines(&self.launched.readers);
                status
            }
            None => panic!("the server still runs after {timeout:?}\n{}", self.logs.tail(FAILURE_LOG_LINES)),
        }
    }

    /// The last lines of stdout and stderr, over all restarts (2,000 at most).
    #[must_use]
    pub fn logs(&self) -> String {
        self.logs.all()
    }

    /// Sets an environment variable for all later starts, for example to switch a failpoint on or off.
    pub fn set_environment(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        let name = name.into();
        self.settings.environment.retain(|(present, _)| *present != name);
        self.settings.environment.push((name, value.into()));
    }

    /// Starts it again with the same settings and directory on a new port. If it still runs, it is killed first.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn restart(&mut self) {
        self.try_restart().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Like [`Server::restart`], for a server that may refuse to start. After an error it does not run.
    pub fn try_restart(&mut self) -> Result<(), StartError> {
        self.kill();
        self.launched = launch(&self.settings, &self.directory, &self.logs)?;
        Ok(())
    }
}

impl ServerBuilder {
    /// `journal.url`.
    #[must_use]
    pub fn journal(self, url: impl AsRef<str>) -> Self {
        self.set(format!("journal.url={}", url.as_ref()))
    }

    /// `--set section.key=value`.
    #[must_use]
    pub fn set(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Runs in this directory instead of a temporary one. The directory is not removed.
    #[must_use]
    pub fn working_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.working_directory = Some(path.into());
        self
    }

    /// Further arguments, after `serve` and all settings.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable. `DORMOUSE__…` variables of the test process are not passed on.
    #[must_use]
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs another application with the same command line.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Starts it through another command, which must `exec` the program in the end.
    #[must_use]
    pub(crate) fn through(mut self, command: impl IntoIterator<Item = OsString>) -> Self {
        self.through = command.into_iter().collect();
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start; the message shows its last log lines.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Server {
        self.try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Like [`ServerBuilder::start`], for a server that may refuse to start.
    pub fn try_start(self) -> Result<Server, StartError> {
        let directory = match &self.working_directory {
            Some(path) => Directory::Given(path.clone()),
            None => Directory::temporary(),
        };
        let logs = Logs::default();
        let launched = launch(&self, &directory, &logs)?;
        Ok(Server { settings: self, directory, logs, launched })
    }
}

/// Whether all threads of a process are stopped. In `stat`, the state follows the name, which is in parentheses.
fn all_threads_are_stopped(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("a process has threads");
    threads.flatten().all(|thread| {
        // A thread that has ended meanwhile has no file.
        let told = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        told.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['T', 'Z']))
    })
}
