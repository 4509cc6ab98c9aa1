//! The same inventory on cqrs-es and postgres-es behind axum: `baselines/`, which is not part of this workspace.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/Cargo.toml");

/// Builds the program and returns its path.
pub(crate) fn build() -> Result<PathBuf> {
    eprintln!("building {MANIFEST}");
    // Beside this program, so that both are removed together.
    let mut directory = std::env::current_exe()?;
    directory.set_file_name("baselines");
    let output = Command::new("cargo")
        .args(["build", "--release", "--locked", "--message-format", "json-render-diagnostics"])
        .args(["--manifest-path", MANIFEST, "--target-dir"])
        .arg(directory)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "the baseline does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.context("cargo names no program")
}
