//! What the process tells about itself: logs on standard error, panics among them, and metrics.
//!
//! Logs and the panic hook belong to the process, so only [`App::run`](crate::App::run) sets them up. Metrics belong to
//! the process too, but an embedded application serves them as well: its recorder is installed once, by the first to
//! start.

mod logs;
mod metrics;
mod panics;

pub(crate) use self::metrics::{recorder, upkeep};

use dormouse_config::Log;

/// Starts logging and catches panics for the log. `application` names the crate whose lines count as ours.
pub(crate) fn start(application: &str, log: &Log) {
    logs::start(application, log);
    panics::log();
}
