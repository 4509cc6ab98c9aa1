//! Whether the journal takes appends.

/// Whether the journal takes appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It takes appends.
    Ready,
    /// The store does not answer. The writer keeps trying.
    Recovering(String),
    /// The store has no room. Reads work, and the writer keeps trying.
    Full(String),
    /// Another writer has taken over. This writer has ended.
    Fenced,
    /// The journal was closed.
    Closed,
}
