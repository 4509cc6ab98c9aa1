//! What one command costs, step by step: the instructions of the real server on SQLite under load, counted by callgrind
//! and added up by what the functions belong to.

mod part;
mod profile;

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dormouse_harness::{Server, dormouse_binary};

use crate::Arguments;
use crate::wrk::{Aggregates, Wrk};
use part::Part;
use profile::Profile;

/// Few enough that all are awake before counting begins, however slow the machine is under callgrind.
const AGGREGATES: usize = 500;

/// Fewer than elsewhere: under callgrind the server is fifty times slower, and nobody should wait for seconds.
const CONNECTIONS: usize = 64;

const WARM_UP_SECONDS: u64 = 5;

/// Writing the profile takes a while.
const END_BOUND: Duration = Duration::from_secs(60);

/// Instructions of user space per command, by part.
pub(crate) struct Steps {
    commands: f64,
    instructions: BTreeMap<Part, u64>,
    /// The largest of what belongs to no part.
    unknown: Vec<(String, u64)>,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Steps> {
    let directory = tempfile::Builder::new().prefix("dormouse-steps-").tempdir()?;
    let profile = directory.path().join("profile");
    let program = directory.path().join("dormouse-under-callgrind");
    let (profile_path, server_path) = (profile.display(), dormouse_binary().display());
    let callgrind = format!("--tool=callgrind --instr-atstart=no --callgrind-out-file='{profile_path}'");
    std::fs::write(&program, format!("#!/bin/sh\nexec valgrind {callgrind} '{server_path}' \"$@\"\n"))?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;

    let mut server = Server::builder().program(program).set("log.level=\"error\"").start();
    let wrk = Wrk { connections: CONNECTIONS, aggregates: Aggregates::Random(AGGREGATES), keys: false };
    eprintln!("steps: warming up");
    wrk.run_slowly(&server.url(), WARM_UP_SECONDS)?;
    eprintln!("steps: counting");
    instrumentation(&server, "on")?;
    let load = wrk.run_slowly(&server.url(), arguments.seconds)?;
    instrumentation(&server, "off")?;
    server.terminate();
    server.wait(END_BOUND);
    let profile = Profile::parse(&std::fs::read_to_string(&profile)?)?;
    Ok(Steps::add_up(&profile, load.requests))
}

fn instrumentation(server: &Server, state: &str) -> Result<()> {
    let output = Command::new("callgrind_control").args(["-i", state, &server.pid().to_string()]).output();
    let output = output.context("cannot run callgrind_control")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.contains("OK"), "callgrind does not switch {state}: {said}");
    Ok(())
}

impl Steps {
    fn add_up(profile: &Profile, commands: f64) -> Self {
        let mut instructions = BTreeMap::new();
        let mut unknown = Vec::new();
        for (function, own) in profile.functions() {
            let part = Part::of(function);
            *instructions.entry(part).or_default() += own;
            if part == Part::Elsewhere {
                unknown.push((function.name.clone(), own));
            }
        }
        unknown.sort_by_key(|(_, own)| std::cmp::Reverse(*own));
        unknown.truncate(10);
        Self { commands, instructions, unknown }
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.instructions.values().sum();
        writeln!(formatter, "| Part | Instructions per command | Share |\n|---|---|---|")?;
        for (part, own) in &self.instructions {
            let share = 100.0 * *own as f64 / total as f64;
            writeln!(formatter, "| {part} | {:.0} | {share:.0} % |", *own as f64 / self.commands)?;
        }
        writeln!(formatter, "| all | {:.0} | 100 % |\n", total as f64 / self.commands)?;
        writeln!(formatter, "{} commands were counted. The largest of what is elsewhere:\n", self.commands)?;
        for (name, own) in &self.unknown {
            writeln!(formatter, "    {:>6.0}  {name}", *own as f64 / self.commands)?;
        }
        Ok(())
    }
}
