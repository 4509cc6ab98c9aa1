//! The domains that ship with Dormouse, as one application with three modules: what the binary `dormouse` runs.
//!
//! Each module has a file with what it registers. Its reactors, handlers and routes are in files of their own below it.
//! Modules share nothing, so each can run without the others (`modules.enabled`).

mod academy;
mod commerce;
mod hosting;

use crate::App;

/// The shipped domains as an application. Add more to it, or run it as it is.
pub fn app() -> App {
    App::new("dormouse")
        .permit_query("operation", &["own:*", "admin"])
        .permit_query("events", &["admin"])
        .permit_query("views", &["admin"])
        .module("commerce", commerce::add)
        .module("hosting", hosting::add)
        .module("academy", academy::add)
}
