//! `[log]`: what is logged, and how.

use serde::{Deserialize, Serialize};

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The least important level that is written. Default `info`; `debug` shows what each aggregate does.
    pub level: LogLevel,
    /// Text for people, or JSON for log collectors. Default `auto`.
    pub format: LogFormat,
}

/// How important a line must be to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Incidents that an operator must look at.
    Error,
    /// Conditions that may become incidents.
    Warn,
    /// The milestones of a healthy node.
    Info,
    /// What each aggregate does.
    Debug,
    /// Everything, for developing Dormouse itself.
    Trace,
}

impl LogLevel {
    /// The name in the configuration. The level filter of `tracing` parses it, too.
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
