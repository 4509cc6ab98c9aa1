//! Logs on standard error, with panics among them, and metrics.
//!
//! Logs and the panic hook belong to the process, so only [`App::run`](crate::App::run) sets them up. Metrics belong to
//! the process as well, but an embedded application serves them too: the first application that starts installs the
//! recorder.

mod logs;
mod metrics;
mod panics;

pub(crate) use self::metrics::{maintain, recorder};

use dormouse_config::Log;

/// Starts logging, and logs panics. `application` is the crate whose log lines are treated like those of our own
/// crates.
pub(crate) fn start(application: &str, log: &Log) {
    logs::start(application, log);
    panics::log();
}
