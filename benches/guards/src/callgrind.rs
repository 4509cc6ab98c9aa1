//! Running the program under callgrind.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::Subject;

/// Of the function whose instructions count, however the compiler writes its path.
const SECTION: &str = "*measured_section*";

/// How many instructions `program` needs for each of `times` times that it does what `subject` names.
///
/// # Errors
/// If callgrind cannot be run, or the program fails.
pub fn count(program: &Path, subject: Subject, times: usize) -> Result<u64> {
    let directory = tempfile::tempdir()?;
    let profile = directory.path().join("profile");
    let name = subject.to_possible_value().context("every subject has a name")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--toggle-collect={SECTION}")])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args([name.get_name(), &times.to_string()])
        .output()
        .context("cannot run valgrind; tests/run installs it")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let profile = std::fs::read_to_string(profile)?;
    let total = profile.lines().find_map(|line| line.strip_prefix("summary: "));
    let total: u64 = total.context("callgrind wrote no summary")?.trim().parse()?;
    ensure!(total > 0, "nothing was counted: the program has no function like {SECTION}");
    Ok(total / times as u64)
}
