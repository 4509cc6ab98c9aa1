//! `serve`: runs the server from its start to its end.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use dormouse_config::AuthMode;
use dormouse_engine::Lifecycle;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::threads::Threads;
use super::{Settings, file_limit, output};
use crate::app::App;
use crate::running::Running;
use crate::telemetry;

/// How long tasks that are left after the drain may take to end. Nothing waits for their work.
const LEFTOVERS_TIMEOUT: Duration = Duration::from_millis(200);

/// Starts the server (the default)
///
/// It prints `listening on http://ADDRESS`, or https if it has a certificate (gateway.tls), on standard output once it
/// accepts requests, and logs to standard error.
/// SIGTERM or SIGINT (Ctrl-C) shut it down in good order: it reports that it is unready and serves for another
/// gateway.unready_for. Then it accepts no more connections, finishes the running requests, puts its aggregates to
/// sleep and exits with 0, all within gateway.drain_timeout. A second signal ends it at once. What was acknowledged is
/// durable in every case. With a certificate, or if callers are authenticated, SIGHUP makes it read certificate and keys
/// again.
///
/// It listens on loopback only, unless it authenticates callers (auth.mode) or gateway.allow_unauthenticated is true.
#[derive(Debug, Default, Args)]
#[command(after_long_help = "\
Examples:
  {app} serve
  {app} serve --set gateway.listen=127.0.0.1:9000 --set journal.url=sqlite:///var/lib/{app}
  {app} serve --profile production --config /etc/{app}.toml
  {app} serve --set gateway.tls.certificate=server.pem --set gateway.tls.key=server.key
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
    let has_files = config.gateway.tls.is_on() || config.auth.mode != AuthMode::None;
    let code = threads.block_on(async {
        let mut signals = Signals::new(has_files)?;
        let running = tokio::select! {
            running = app.start_with(config, threads.domain()) => running?,
            signal = signals.stop() => return Ok(signal.exit_code()),
        };
        // The process that started this one may have closed our standard output.
        let _closed = output::line(format_args!("listening on {}", running.url()));
        until_stopped(running, &mut signals).await
    });
    threads.shut_down(LEFTOVERS_TIMEOUT);
    code
}

async fn until_stopped(running: Running, signals: &mut Signals) -> anyhow::Result<ExitCode> {
    let lifecycle = running.engine().lifecycle();
    loop {
        tokio::select! {
            reason = running.failed() => {
                error!(reason, "the server has failed and shuts down");
                break;
            }
            signal = signals.next() => match signal {
                ServerSignal::Stop(signal) => {
                    info!(signal = signal.name, "shutting down");
                    break;
                }
                ServerSignal::Reload => running.reload(),
            },
        }
    }
    tokio::select! {
        report = running.stop() => if !report.complete {
            warn!(still_live = report.still_live, "some aggregates were not put to sleep in time");
        },
        signal = signals.stop() => {
            warn!(signal = signal.name, "shutting down at once");
            return Ok(signal.exit_code());
        }
    }
    // The server may have failed during the shutdown.
    match &*lifecycle.borrow() {
        Lifecycle::Failed(reason) => Err(anyhow::Error::msg(reason.clone())),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The runtime of every command but `serve`.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

/// The signals that end the server, and the one at which it reads its certificate and keys again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None`: there is nothing to read again, and the signal ends the process, as it does by default.
    hangup: Option<Signal>,
}

enum ServerSignal {
    Stop(StopSignal),
    /// Read the certificate and keys again.
    Reload,
}

#[derive(Clone, Copy)]
struct StopSignal {
    name: &'static str,
    number: u8,
}

impl StopSignal {
    /// The exit code with which a shell reports a process that this signal has ended.
    fn exit_code(self) -> ExitCode {
        ExitCode::from(128 + self.number)
    }
}

impl Signals {
    fn new(has_files: bool) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: has_files.then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// The next signal.
    async fn next(&mut self) -> ServerSignal {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => ServerSignal::Stop(StopSignal { name: "SIGTERM", number: 15 }),
            _ = self.interrupt.recv() => ServerSignal::Stop(StopSignal { name: "SIGINT", number: 2 }),
            _ = hangup => ServerSignal::Reload,
        }
    }

    /// The next signal that ends the server.
    async fn stop(&mut self) -> StopSignal {
        loop {
            if let ServerSignal::Stop(signal) = self.next().await {
                return signal;
            }
        }
    }
}
