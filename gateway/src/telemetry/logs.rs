//! Logs on standard error: standard output is for results.

use std::io::{self, IsTerminal};

use dormouse_config::{Log, LogFormat, LogLevel};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// The prefix of the names of all our crates.
const OURS: &str = "dormouse";

/// Starts logging, unless this process has a subscriber already.
pub(super) fn start(application: &str, log: &Log) {
    let terminal = io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    // The library decides whether a terminal gets colours (https://no-color.org).
    let lines = fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else if terminal {
        lines.boxed()
    } else {
        lines.with_ansi(false).boxed()
    };
    // A program that embeds the command line may have installed its own subscriber, which then stays.
    let _theirs = Registry::default().with(lines.with_filter(filter(application, log.level))).try_init();
}

/// Our crates and the application log at `level`, and all other crates log warnings at most. Their details are of use
/// only at the level `trace`.
fn filter(application: &str, level: LogLevel) -> Targets {
    let ours = level_filter(level);
    let others = if level == LogLevel::Trace { ours } else { ours.min(LevelFilter::WARN) };
    let application = application.replace('-', "_");
    Targets::new().with_default(others).with_target(OURS, ours).with_target(application, ours)
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn our_crates_and_the_application_log_at_the_level_and_others_warn() {
        let filter = filter("corner-bank", LogLevel::Debug);
        for target in ["dormouse", "dormouse_engine::aggregate", "corner_bank"] {
            assert!(filter.would_enable(target, &Level::DEBUG), "{target}");
        }
        assert!(filter.would_enable("sqlx::query", &Level::WARN));
        assert!(!filter.would_enable("sqlx::query", &Level::INFO));
    }

    #[test]
    fn others_are_never_louder_than_asked_for() {
        assert!(!filter("bank", LogLevel::Error).would_enable("sqlx", &Level::WARN));
        assert!(!filter("bank", LogLevel::Off).would_enable("bank", &Level::ERROR));
    }

    #[test]
    fn level_trace_shows_everything() {
        assert!(filter("bank", LogLevel::Trace).would_enable("hyper", &Level::TRACE));
    }
}
