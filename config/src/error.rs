//! Errors of a configuration.

use std::io;
use std::path::PathBuf;

use crate::Origin;

/// What is wrong with a configuration. Each error is one line that names the place. A retry helps only after a change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such profile.
    #[error("unknown profile `{name}`, the profiles are {known}")]
    UnknownProfile {
        /// The name given.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },
    /// The file named by `--config` cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    File {
        /// The path as given.
        path: PathBuf,
        /// What the system reports.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("file {}:{line}:{column}: not valid TOML: {message}", path.display())]
    Syntax {
        /// The path as given.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1, in characters.
        column: usize,
        /// The message of the parser.
        message: String,
    },
    /// A key is unknown.
    #[error("{origin}: unknown key `{key}`, the nearest known key is `{nearest}`")]
    UnknownKey {
        /// The layer that has it.
        origin: Origin,
        /// The key as written.
        key: String,
        /// The known key that is most similar.
        nearest: String,
    },
    /// A section has a value.
    #[error("{origin}: `{key}` is a section, not a value: set one of its keys, such as `{example}`")]
    Section {
        /// The layer that has it.
        origin: Origin,
        /// The section.
        key: String,
        /// One of its keys.
        example: String,
    },
    /// A value has the wrong type, is out of range, or contradicts another one.
    #[error("{origin}: {key} = {value} is refused, expected {expected}")]
    Value {
        /// The layer that has it.
        origin: Origin,
        /// The key.
        key: String,
        /// The value as written, secrets masked.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// A `--set` is no assignment.
    #[error("--set {text}: expected section.key=value")]
    Override {
        /// The argument, secrets masked.
        text: String,
    },
    /// A change is no assignment.
    #[error("`{text}` changes nothing, expected section.key=value")]
    Change {
        /// The argument, secrets masked.
        text: String,
    },
    /// A change of a key that is read only at the start.
    #[error("`{key}` is read when the server starts; what can be changed while it runs: {live}")]
    NotLive {
        /// The key.
        key: String,
        /// The keys that can be changed, separated by commas.
        live: String,
    },
    /// The value of an environment variable of Dormouse is not Unicode.
    #[error("environment {name}: the value is not valid unicode")]
    NotUnicode {
        /// The variable.
        name: String,
    },
}
