//! The adapters of the ports.

mod archive;
mod command;
mod directory;
mod program;

pub(super) use command::CommandAdapter;
pub(super) use directory::DirectoryAdapter;
