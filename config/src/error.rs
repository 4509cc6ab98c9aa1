//! What can be wrong with a configuration.

use std::io;
use std::path::PathBuf;

use crate::Origin;

/// What is wrong with a configuration. Each is one line that names the place; a retry helps only after changing it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such profile.
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
        /// Why not.
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
        /// What the parser says.
        message: String,
    },
    /// A key that means nothing.
    #[error("{origin}: unknown key `{key}`, the nearest known key is `{nearest}`")]
    UnknownKey {
        /// Which layer has it.
        origin: Origin,
        /// The key as written.
        key: String,
        /// The known key most like it.
        nearest: String,
    },
    /// A section was given a value.
    #[error("{origin}: `{key}` is a section, not a value: set one of its keys, such as `{example}`")]
    Section {
        /// Which layer has it.
        origin: Origin,
        /// The section.
        key: String,
        /// One of its keys.
        example: String,
    },
    /// A value of the wrong type, out of range, or at odds with another one.
    #[error("{origin}: {key} = {value} is refused, expected {expected}")]
    Value {
        /// Which layer has it.
        origin: Origin,
        /// The key.
        key: String,
        /// The value as written, secrets masked.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// A `--set` that is no assignment.
    #[error("--set {text}: expected section.key=value")]
    Override {
        /// What was given, secrets masked.
        text: String,
    },
    /// A change that is no assignment.
    #[error("`{text}` changes nothing, expected section.key=value")]
    Change {
        /// What was given, secrets masked.
        text: String,
    },
    /// A change of what is read only once.
    #[error("`{key}` is read when the server starts; what can be changed while it runs: {live}")]
    NotLive {
        /// The key.
        key: String,
        /// The keys that can be changed, separated by commas.
        live: String,
    },
    /// An environment variable of ours whose value is not Unicode.
    #[error("environment {name}: the value is not valid unicode")]
    NotUnicode {
        /// The variable.
        name: String,
    },
}
