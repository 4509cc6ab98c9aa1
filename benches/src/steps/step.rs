//! Assigns functions to the steps of a command.

use std::fmt;

use dormouse_guards::Function;

/// In the order of a command; the steps that serve all others come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Connection,
    Routing,
    Json,
    Admission,
    Actor,
    Decide,
    Encode,
    Chain,
    Submit,
    Batch,
    Statement,
    Execution,
    Answer,
    Response,
    Index,
    Runtime,
}

pub(super) const STEPS: usize = Step::Runtime as usize + 1;

/// Parts of function names; the first match decides. A function without a match works for its caller, like one that the
/// compiler has inlined.
const RULES: &[(Step, &[&str])] = &[
    (Step::Json, &["dormouse::http::decode", "serde_ignored", "serde_json::de", "serde_json::read"]),
    (Step::Response, &["dormouse::http::outcome", "Http1Transaction>::encode", "::poll_flush", "::write_head"]),
    (Step::Admission, &["dormouse::http::resource", "dormouse_engine::aggregates", "directory", "admission"]),
    (Step::Chain, &["dormouse_kernel::chain", "blake3"]),
    (Step::Encode, &["dormouse_kernel::codec", "dormouse_kernel::variant", "rmp::", "rmp_serde"]),
    (Step::Decide, &["dormouse_aggregates", "dormouse_engine::aggregate::decision", "dormouse_kernel::context"]),
    (
        Step::Answer,
        &[
            "CommitBatch::answer",
            "dormouse_engine::aggregate::actor::answer",
            "aggregate::actor::ActorState<A>::commit::{{closure}}::{{closure}}",
        ],
    ),
    (Step::Submit, &["dormouse_journal::journal::Journal::submit", "dormouse_journal::writer::submission"]),
    (Step::Index, &["store::sqlite::tail", "store::sqlite::index", "store::sqlite::read"]),
    (Step::Statement, &["dormouse_journal::store::sqlite", "dormouse_storage", "sqlx_"]),
    (Step::Batch, &["dormouse_journal::"]),
    (Step::Actor, &["dormouse_engine", "ractor"]),
    (Step::Routing, &["dormouse::", "axum", "matchit", "tower"]),
    (Step::Connection, &["hyper", "httparse"]),
];

impl Step {
    pub(super) const ALL: [Self; STEPS] = [
        Self::Connection,
        Self::Routing,
        Self::Json,
        Self::Admission,
        Self::Actor,
        Self::Decide,
        Self::Encode,
        Self::Chain,
        Self::Submit,
        Self::Batch,
        Self::Statement,
        Self::Execution,
        Self::Answer,
        Self::Response,
        Self::Index,
        Self::Runtime,
    ];

    /// The step of a function, if it has one.
    pub(super) fn of(function: &Function) -> Option<Self> {
        let name = function.name.as_str();
        // These names contain the type that is dropped, read or written, wherever that happens.
        if name.starts_with("core::ptr::drop_in_place") || name.contains("::_::<impl serde") {
            return None;
        }
        RULES.iter().find(|(_, needles)| needles.iter().any(|needle| name.contains(needle))).map(|(step, _)| *step)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connection => "HTTP: the connection, reading and parsing the request",
            Self::Routing => "HTTP: routing, headers into options, request id, trace, metrics",
            Self::Json => "JSON body into the command",
            Self::Admission => "admission, directory, waiting for the answer",
            Self::Actor => "mailbox and actor",
            Self::Decide => "domain: checking values, decide, evolve",
            Self::Encode => "encoding event, metadata and reply",
            Self::Chain => "hash chain",
            Self::Submit => "submitting to the writer",
            Self::Batch => "batch building: gathering, checking, placing",
            Self::Statement => "SQLite statement: binding, and the way to SQLite's thread and back",
            Self::Execution => "SQLite statement: execution, with WAL and checkpoints",
            Self::Answer => "answering the caller",
            Self::Response => "response: JSON and writing",
            Self::Index => "index behind: the tail in memory, and SQLite's threads for it",
            Self::Runtime => "runtime: threads, tasks, timers, the network's events, and what no step calls",
        })
    }
}
