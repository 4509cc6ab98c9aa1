//! Runs the program under callgrind.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::{Profile, Subject};

/// The function whose instructions count, in every way in which the compiler writes its path.
const SECTION: &str = "*measured_section*";

/// The number of instructions of a subject or a part.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// The name in `instructions.toml`.
    pub name: &'static str,
    /// Instructions per repetition.
    pub instructions: u64,
}

/// Runs `program` with this many repetitions of `subject`, and returns the instructions of each: first of the whole,
/// then of its parts.
///
/// # Errors
/// If callgrind cannot be run, the program fails, or a part has no functions.
pub fn count(program: &Path, subject: Subject, times: usize) -> Result<Vec<Count>> {
    let directory = tempfile::tempdir()?;
    let profile = directory.path().join("profile");
    let argument = subject.to_possible_value().context("every subject has a name")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--toggle-collect={SECTION}")])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args([argument.get_name(), &times.to_string()])
        .output()
        .context("cannot run valgrind; tests/run installs it")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let profile = Profile::parse(&std::fs::read_to_string(profile)?)?;
    let total = profile.total();
    ensure!(total > 0, "nothing was counted: the program has no function like {SECTION}");
    let each = |instructions: u64| instructions / times as u64;
    let mut counts = vec![Count { name: subject.name(), instructions: each(total) }];
    for part in subject.parts() {
        let instructions = profile.inclusive(part.functions).context(part.name)?;
        counts.push(Count { name: part.name, instructions: each(instructions) });
    }
    Ok(counts)
}
