//! Running the program under callgrind.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::{Profile, Subject};

/// Of the function whose instructions count, however the compiler writes its path.
const SECTION: &str = "*measured_section*";

/// How many instructions something takes.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// As `instructions.toml` calls it.
    pub name: &'static str,
    /// Each time.
    pub instructions: u64,
}

/// Lets `program` do what `subject` names so many times, and says how many instructions each took: first the whole,
/// then its parts.
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
