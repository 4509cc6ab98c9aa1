//! The cost of one command, step by step: callgrind counts the instructions of the real server on SQLite under load,
//! and they are added up by the step that each function belongs to, or is called for.

mod attribution;
mod step;

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dormouse_guards::Profile;
use dormouse_harness::Server;

use crate::wrk::{Aggregates, Wrk};
use attribution::Attribution;
use step::Step;

/// Few enough that all are loaded before counting starts, however slow the machine is under callgrind.
const AGGREGATES: usize = 500;

/// Fewer than elsewhere, because the server is fifty times slower under callgrind.
const CONNECTIONS: usize = 64;

const WARM_UP_COMMANDS: f64 = 5_000.0;

/// Enough that single events do not show.
const COMMANDS: f64 = 10_000.0;

/// The load runs in pieces until there are enough commands, because its speed depends on the machine.
const PIECE_SECONDS: u64 = 2;

/// If there are few events, they are indexed after ten seconds. The events of the warm-up must be indexed before
/// counting starts, and the counted ones before it ends.
const INDEXED_AFTER: Duration = Duration::from_secs(15);

/// The number of functions of each step below the table.
const FUNCTIONS_SHOWN: usize = 6;

/// Writing the profile takes some time.
const END_BOUND: Duration = Duration::from_secs(60);

/// Each thread's profile is a file with this name and a number.
const PROFILE: &str = "profile";

/// Instructions in user space, by step.
pub(crate) struct Steps {
    commands: f64,
    all: Attribution,
}

pub(crate) fn measure() -> Result<Steps> {
    let directory = tempfile::Builder::new().prefix("dormouse-steps-").tempdir()?;
    let program = directory.path().join("dormouse-under-callgrind");
    // benches/run builds it together with this program.
    let server = std::env::current_exe()?.with_file_name("dormouse");
    ensure!(server.exists(), "{} is missing: benches/run builds it", server.display());
    let (profile, server) = (directory.path().join(PROFILE), server.display());
    let threads = "--separate-threads=yes";
    let callgrind =
        format!("--tool=callgrind --instr-atstart=no {threads} --callgrind-out-file='{}'", profile.display());
    std::fs::write(&program, format!("#!/bin/sh\nexec valgrind {callgrind} '{server}' \"$@\"\n"))?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;

    let mut server = Server::builder().program(program).set("log.level=\"error\"").start();
    let wrk = Wrk { connections: CONNECTIONS, aggregates: Aggregates::Random(AGGREGATES), keys: false, tokens: None };
    eprintln!("steps: warming up");
    load(&wrk, &server, WARM_UP_COMMANDS)?;
    sleep(INDEXED_AFTER);
    eprintln!("steps: counting");
    instrumentation(&server, "on")?;
    let commands = load(&wrk, &server, COMMANDS)?;
    sleep(INDEXED_AFTER);
    instrumentation(&server, "off")?;
    server.terminate();
    server.wait(END_BOUND);
    Ok(Steps { commands, all: add_up(&profiles(directory.path())?) })
}

/// Sends at least this many commands. Returns their number.
fn load(wrk: &Wrk, server: &Server, commands: f64) -> Result<f64> {
    let mut done = 0.0;
    while done < commands {
        done += wrk.run_slowly(&server.url(), PIECE_SECONDS)?.requests;
    }
    Ok(done)
}

fn instrumentation(server: &Server, state: &str) -> Result<()> {
    let output = Command::new("callgrind_control").args(["-i", state, &server.pid().to_string()]).output();
    let output = output.context("cannot run callgrind_control")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.contains("OK"), "callgrind does not switch {state}: {said}");
    Ok(())
}

/// One profile per thread.
fn profiles(directory: &Path) -> Result<Vec<Profile>> {
    let mut profiles = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let file = file?;
        if file.file_name().to_string_lossy().starts_with(PROFILE) {
            profiles.push(Profile::parse(&std::fs::read_to_string(file.path())?)?);
        }
    }
    ensure!(profiles.iter().any(|profile| profile.total() > 0), "callgrind counted nothing");
    Ok(profiles)
}

/// SQLite runs on a thread per connection. The thread that syncs belongs to the log; the others belong to the index,
/// which does not sync.
fn add_up(profiles: &[Profile]) -> Attribution {
    let log = profiles.iter().map(syncs).max();
    let mut all = Attribution::default();
    for profile in profiles {
        all.add(match (runs_sqlite(profile), Some(syncs(profile)) == log) {
            (true, true) => Attribution::to(Step::Execution, profile),
            (true, false) => Attribution::to(Step::Index, profile),
            (false, _) => Attribution::of(profile),
        });
    }
    all
}

fn runs_sqlite(profile: &Profile) -> bool {
    profile.functions().any(|(function, _)| function.name == "sqlite3_step")
}

fn syncs(profile: &Profile) -> u64 {
    let names: Vec<_> = profile.functions().map(|(function, _)| function.name.as_str()).collect();
    let into_sync = profile.calls().filter(|(_, to, _)| ["fsync", "fdatasync"].contains(&names[*to]));
    into_sync.map(|(_, _, calls)| calls.count).sum()
}

impl fmt::Display for Steps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: f64 = self.all.instructions.iter().sum();
        writeln!(formatter, "| Step | Instructions per command | Share |\n|---|---:|---:|")?;
        for step in Step::ALL {
            let own = self.all.instructions[step as usize];
            if own < self.commands {
                continue;
            }
            writeln!(formatter, "| {step} | {:.0} | {:.1} % |", own / self.commands, 100.0 * own / total)?;
        }
        writeln!(formatter, "| all | {:.0} | 100 % |\n", total / self.commands)?;
        writeln!(formatter, "{} commands were counted. The largest functions of each step:", self.commands)?;
        for step in Step::ALL.into_iter().filter(|step| self.all.instructions[*step as usize] >= self.commands) {
            writeln!(formatter, "\n{step}")?;
            for (name, own) in self.all.largest(step, FUNCTIONS_SHOWN) {
                writeln!(formatter, "    {:>6.0}  {name}", own / self.commands)?;
            }
        }
        Ok(())
    }
}
