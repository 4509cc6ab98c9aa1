//! The command line as operators and scripts use it: the real binary, its output, its exit codes.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests do")]

#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/cache.rs"]
mod cache;
#[path = "cli/callers.rs"]
mod callers;
#[path = "cli/catalogue.rs"]
mod catalogue;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/encryption.rs"]
mod encryption;
#[path = "cli/failed.rs"]
mod failed;
#[path = "cli/hosting.rs"]
mod hosting;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/listeners.rs"]
mod listeners;
#[path = "cli/poison.rs"]
mod poison;
#[path = "cli/post_office.rs"]
mod post_office;
#[path = "cli/projections.rs"]
mod projections;
#[path = "cli/refusals.rs"]
mod refusals;
#[path = "cli/restore.rs"]
mod restore;
#[path = "cli/serving.rs"]
mod serving;
#[path = "cli/snapshots.rs"]
mod snapshots;
#[path = "cli/streams.rs"]
mod streams;
#[path = "cli/tls.rs"]
mod tls;
#[path = "cli/webhooks.rs"]
mod webhooks;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use std::{env, io};

use dormouse_harness::{Server, ServerBuilder};
use serde_json::json;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dormouse");
const SOON: Duration = Duration::from_secs(20);

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// `dormouse` in a directory, configured by its arguments alone.
fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DORMOUSE__")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    command
}

fn ended(mut command: Command) -> Ended {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

fn run_in(directory: &Path, arguments: &[&str]) -> Ended {
    ended(command(directory, arguments))
}

fn run(arguments: &[&str]) -> Ended {
    run_in(TempDir::new().unwrap().path(), arguments)
}

/// What it printed. Panics if it failed.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let ended = run(arguments);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}: {ended:?}");
    ended.stdout
}

/// A server of this binary in `directory`, on SQLite.
fn server_in(directory: &Path) -> ServerBuilder {
    Server::builder().program(PROGRAM).working_directory(directory)
}

/// One event for the inventory `SKU-1`.
#[track_caller]
fn restock(server: &Server, change: i64) {
    let body = json!({"change": change, "reason": "counted"});
    let answer = server.client().post("/v1/inventory/SKU-1/update-inventory", &body).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
}

/// A pipe without a reader.
fn closed_pipe() -> io::PipeWriter {
    let (_reader, writer) = io::pipe().unwrap();
    writer
}
