//! `[log]`: what is logged, and how.

use serde::{Deserialize, Serialize};

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Least important lines written. Default `info`; `debug` to see what each aggregate does.
    pub level: LogLevel,
    /// Text for people or JSON for collectors. Default `auto`.
    pub format: LogFormat,
}

/// How important a line must be to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Incidents somebody must look at.
    Error,
    /// What may become one.
    Warn,
    /// The milestones of a healthy node.
    Info,
    /// What each aggregate does.
    Debug,
    /// Everything, for developing Dormouse itself.
    Trace,
}

impl LogLevel {
    /// The name as written in the configuration, which is also what `tracing`'s level filter parses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One object a line, for log collectors.
    Json,
}
