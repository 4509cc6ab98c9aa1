//! The real `dormouse` binary and other programs, which are never stale: `tests/run` has built them, or the test process
//! that first needs one builds it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// cargo in a copy of the workspace that has the planted bugs.
const CARGO_WITH_BUGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bugs/cargo");

/// `tests/run` names the folder with the programs that it has built in this variable. Cargo would build them again if it
/// were asked for one package: the packages that it builds together decide the features of their dependencies.
const PROGRAMS: &str = "DORMOUSE_TEST_PROGRAMS";

/// The binary, in the profile of this test process. Runs cargo once per process if `tests/run` did not, which is quick when
/// nothing has changed.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn dormouse_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built("dormouse", ["--bin", "dormouse"]))
}

/// The example application, as [`dormouse_binary`].
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn bank_example() -> &'static Path {
    static EXAMPLE: OnceLock<PathBuf> = OnceLock::new();
    EXAMPLE.get_or_init(|| built("dormouse", ["--example", "bank"]))
}

/// The binary `dormouse` with failpoints and the bugs of `tests/bugs` compiled in, as [`dormouse_binary`]. Each is off
/// unless the environment variable `FAILPOINTS` switches it on.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn failing_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build(CARGO_WITH_BUGS.as_ref(), "dormouse-failing", ["--bin", "dormouse-failing"]))
}

/// An application whose domain code misbehaves on request (`tests/chaos`), as [`dormouse_binary`].
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn chaos_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built("dormouse-chaos", ["--bin", "dormouse-chaos"]))
}

/// A program that `tests/run` has built, or that is built now.
fn built(package: &str, target: [&str; 2]) -> PathBuf {
    let Some(programs) = env::var_os(PROGRAMS) else {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        return build(&cargo, package, target);
    };
    let folder = if target[0] == "--example" { "examples" } else { "" };
    let program = Path::new(&programs).join(folder).join(target[1]);
    assert!(program.exists(), "{PROGRAMS} says that {} is built", program.display());
    program
}

fn build(cargo: &OsStr, package: &str, target: [&str; 2]) -> PathBuf {
    let output = Command::new(cargo)
        .args(["build", "-p", package, "--locked"])
        .args(target)
        .args(["--profile", &profile()])
        // Cargo names the binary's path: target directories can be configured in many ways.
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .stderr(Stdio::piped())
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{target:?} does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == target[1]).then_some(())?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.expect("cargo names the binary it built")
}

/// The profile of this process: tests run in `<profile>/deps`, examples in `<profile>/examples`, binaries in
/// `<profile>`.
fn profile() -> String {
    let executable = env::current_exe().expect("this process has an executable");
    let inside = executable.parent().and_then(|directory| {
        let is_part = directory.ends_with("deps") || directory.ends_with("examples");
        if is_part { directory.parent() } else { Some(directory) }
    });
    match inside.and_then(Path::file_name).and_then(|name| name.to_str()) {
        None | Some("debug") => "dev".to_owned(),
        Some(name) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_the_one_of_this_test() {
        let expected = if cfg!(debug_assertions) { "dev" } else { "release" };
        assert_eq!(profile(), expected);
    }
}
