//! Checks that the steps of a command take no more instructions than recorded in `instructions.toml`.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use dormouse_guards::{Count, Subject, count};
use toml::Table;

const COMMITTED: &str = include_str!("../../benches/guards/instructions.toml");

/// The repetitions of each step, so that work that happens once, or by the clock, does not count.
const TIMES: usize = 4096;

/// Repeated runs differ by less than a hundredth. A change by this many hundredths comes from the code.
const MORE: u64 = 5;
const LESS: u64 = 10;

#[test]
fn no_step_of_a_command_takes_more_instructions_than_it_did() {
    let program = build();
    let committed: Table = COMMITTED.parse().unwrap();
    let (mut counted, mut problems) = (String::new(), String::new());
    for subject in Subject::value_variants() {
        for Count { name, instructions: now } in count(&program, *subject, TIMES).unwrap() {
            let known = committed.get(name).and_then(toml::Value::as_integer);
            let known = u64::try_from(known.unwrap_or(0)).unwrap();
            println!("{name}: {now} instructions, {known} in the file");
            writeln!(counted, "{name} = {now}").unwrap();
            if known == 0 {
                writeln!(problems, "{name} takes {now} instructions, and the file does not say how many it took")
            } else if now * 100 > known * (100 + MORE) {
                writeln!(problems, "{name} takes {now} instructions, more than {MORE} % above the {known} it took")
            } else if now * 100 < known * (100 - LESS) {
                writeln!(problems, "{name} takes {now} instructions, well below the {known} it took: keep that")
            } else {
                Ok(())
            }
            .unwrap();
        }
    }
    assert!(
        problems.is_empty(),
        "{problems}If that is wanted, say why in the commit, and put this into benches/guards/instructions.toml:\n{counted}"
    );
}

/// The program in its own profile: optimized, in whatever profile the tests are.
fn build() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--profile", "guards", "-p", "dormouse-guards", "--bin", "dormouse-guards"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the program does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.expect("cargo names the program it built")
}
