//! The states of an engine.

/// What an engine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// It takes commands.
    Running,
    /// It still takes commands, but will stop soon: load balancers should send new clients elsewhere.
    Leaving,
    /// It finishes the commands that it has taken, and takes no more.
    Draining,
    /// It has stopped in good order.
    Stopped,
    /// It has given up, for this reason. The process should end with an error.
    Failed(String),
}

impl Lifecycle {
    /// Whether the engine takes commands. It also does while it leaves.
    pub(crate) const fn is_running(&self) -> bool {
        matches!(self, Self::Running | Self::Leaving)
    }
}
