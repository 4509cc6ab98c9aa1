//! `serve`: the server, from start to a good end.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use dormouse_engine::Lifecycle;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::threads::Threads;
use super::{Settings, file_limit, output};
use crate::app::App;
use crate::running::Running;
use crate::telemetry;

/// What is left behind after a drain gets this long to end; it is work that nobody waits for.
const LEFTOVERS: Duration = Duration::from_millis(200);

/// Starts the server (the default)
///
/// Says `listening on http://ADDRESS` on standard output once it takes requests, and logs to standard error. SIGTERM or
/// SIGINT (Ctrl-C) shut it down in good order: it says that it is unready and serves on for gateway.unready_for; then it
/// accepts no more connections, finishes the requests under way, puts its aggregates to sleep and exits with 0, all
/// within gateway.drain_timeout. A second signal ends it at once. What has been acknowledged is durable however it ends.
///
/// It listens on loopback only, because nothing authenticates callers, unless gateway.allow_unauthenticated is true.
#[derive(Debug, Default, Args)]
#[command(after_long_help = "\
Examples:
  {app} serve
  {app} serve --set gateway.listen=127.0.0.1:9000 --set journal.url=sqlite:///var/lib/{app}
  {app} serve --profile production --config /etc/{app}.toml
  DORMOUSE__JOURNAL__URL=postgres://dormouse:secret@db/dormouse {app} serve
  {app} serve --set gateway.listen=0.0.0.0:8080 --set gateway.allow_unauthenticated=true")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) settings: Settings,
}

pub(super) fn run(app: &App, settings: Settings) -> anyhow::Result<ExitCode> {
    let config = settings.load()?.config;
    telemetry::start(app.name(), &config.log);
    file_limit::raise(config.gateway.max_connections.get());
    let threads = Threads::start()?;
    let code = threads.block_on(async {
        let mut signals = Signals::new()?;
        let running = tokio::select! {
            running = app.start_with(config, threads.domain()) => running?,
            signal = signals.next() => return Ok(signal.exit_code()),
        };
        // Whoever started it may not care to read this.
        let _closed = output::line(format_args!("listening on http://{}", running.address()));
        until_stopped(running, &mut signals).await
    });
    threads.shut_down(LEFTOVERS);
    code
}

async fn until_stopped(running: Running, signals: &mut Signals) -> anyhow::Result<ExitCode> {
    let lifecycle = running.engine().lifecycle();
    tokio::select! {
        reason = running.failed() => error!(reason, "the server has failed and stops"),
        signal = signals.next() => info!(signal = signal.name, "shutting down"),
    }
    tokio::select! {
        report = running.stop() => if !report.complete {
            warn!(still_live = report.still_live, "not everything was finished in time");
        },
        signal = signals.next() => {
            warn!(signal = signal.name, "shutting down at once");
            return Ok(signal.exit_code());
        }
    }
    // It may also have failed while it was leaving.
    match &*lifecycle.borrow() {
        Lifecycle::Failed(reason) => Err(anyhow::Error::msg(reason.clone())),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The threads of everything but a server.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

/// The signals that ask for an end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

#[derive(Clone, Copy)]
struct Stop {
    name: &'static str,
    number: u8,
}

impl Stop {
    /// As a shell reports a process that a signal has ended.
    fn exit_code(self) -> ExitCode {
        ExitCode::from(128 + self.number)
    }
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop { name: "SIGTERM", number: 15 },
            _ = self.interrupt.recv() => Stop { name: "SIGINT", number: 2 },
        }
    }
}
