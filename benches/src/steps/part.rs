//! What a function belongs to.

use std::fmt;

use super::profile::Function;

/// In the order in which a command meets them; what serves all of them comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Http,
    Json,
    Engine,
    Domain,
    Encoding,
    Chain,
    Writer,
    Store,
    Sqlite,
    Ids,
    Metrics,
    Scheduling,
    HashMaps,
    Allocator,
    Memory,
    Elsewhere,
}

/// What the names of functions contain, the first that fits decides. Code that the compiler put into its caller counts
/// as the caller's.
const RULES: [(Part, &[&str]); 14] = [
    (Part::Metrics, &["metrics", "quanta", "prometheus"]),
    (Part::Allocator, &["mimalloc", "__rust_alloc", "__rust_dealloc", "__rust_realloc"]),
    (Part::Json, &["serde_json", "serde_path_to_error", "serde_ignored", "::http::decode", "::http::messagepack"]),
    (Part::Chain, &["blake3", "dormouse_kernel::chain"]),
    (Part::Encoding, &["rmp::", "rmp_serde", "dormouse_kernel::codec", "dormouse_kernel::variant"]),
    (Part::Domain, &["dormouse_aggregates"]),
    (Part::Store, &["dormouse_journal::store", "sqlx_", "flume", "futures_intrusive"]),
    (Part::Writer, &["dormouse_journal"]),
    (Part::Ids, &["uuid", "rand", "chacha", "jiff", "std::time", "Timespec", "clock_gettime"]),
    (Part::HashMaps, &["dashmap", "hashbrown", "sip::", "foldhash", "hash_one", "core::hash", "lru::"]),
    (Part::Engine, &["dormouse_engine", "ractor"]),
    (
        Part::Http,
        &[
            "dormouse::",
            "hyper",
            "axum",
            "httparse",
            "http::",
            "http_body",
            "matchit",
            "tower",
            "percent_encoding",
            "bytes::",
        ],
    ),
    (Part::Scheduling, &["tokio", "mio::", "futures_", "parking_lot", "std::sys::sync", "core::future", "crossbeam"]),
    (Part::Encoding, &["dormouse_kernel", "serde"]),
];

impl Part {
    pub(super) fn of(function: &Function) -> Self {
        let name = function.name.as_str();
        let rule = RULES.iter().find(|(_, needles)| needles.iter().any(|needle| name.contains(needle)));
        match rule {
            Some((part, _)) => *part,
            None if ["memcpy", "memmove", "memset", "memcmp", "bcmp"].iter().any(|what| name.contains(what)) => {
                Self::Memory
            }
            None if name.starts_with("mi_") || name.starts_with("_mi_") => Self::Allocator,
            // Rust's allocations go to mimalloc: who calls the C library's, and its locks, is SQLite.
            None if ["malloc", "free", "realloc", "_int_", "unlink_chunk", "pthread_mutex"]
                .iter()
                .any(|what| name.contains(what)) =>
            {
                Self::Sqlite
            }
            None if function.object.contains("/lib") => Self::Elsewhere,
            // The only C in the program, besides what is named above.
            None if !name.contains("::") && !name.starts_with("0x") => Self::Sqlite,
            None => Self::Elsewhere,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Http => "HTTP: reading the request, routing, headers, writing the answer",
            Self::Json => "JSON: body into command, outcome into answer",
            Self::Engine => "engine: command bus, directory, permits, actor",
            Self::Domain => "domain: decide and evolve",
            Self::Encoding => "encoding: event, metadata, reply as MessagePack",
            Self::Chain => "hash chain",
            Self::Writer => "journal: submitting, gathering, checking, answering",
            Self::Store => "SQLite store: binding rows, connections, tail and index, in Rust",
            Self::Sqlite => "SQLite itself: log and index, with its allocations and locks",
            Self::Ids => "ids and clocks",
            Self::Metrics => "metrics",
            Self::Scheduling => "tasks: scheduling, channels, timers, sockets",
            Self::HashMaps => "hash maps and their hashing",
            Self::Allocator => "allocator (mimalloc)",
            Self::Memory => "copying and comparing memory",
            Self::Elsewhere => "elsewhere: C library, standard library, not told apart",
        })
    }
}
