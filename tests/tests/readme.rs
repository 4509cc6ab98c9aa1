//! Runs the commands of the README and of each guide like a newcomer: all commands of a page in one shell, one after
//! the other, in an empty directory.
//!
//! Three things differ: `cargo run` starts the binary that this test run has built, the port is a free one, and
//! PostgreSQL belongs to the tests. A JSON block is the expected output of the command before it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use dormouse_harness::{Postgres, bank_example, dormouse_binary};
use serde_json::Value;

const README: &str = include_str!("../../README.md");

/// Printed between the blocks, to separate their outputs.
const MARK: &str = "--- end of block ---";

struct Block<'a> {
    language: &'a str,
    text: String,
}

#[test]
fn every_command_in_the_readme_does_what_the_readme_says() {
    does_what_it_says(README);
}

#[test]
fn every_command_in_the_guide_to_commands_does_what_it_says() {
    does_what_it_says(include_str!("../../docs/commands.md"));
}

#[test]
fn every_command_in_the_guide_to_views_does_what_it_says() {
    does_what_it_says(include_str!("../../docs/views.md"));
}

#[test]
fn every_command_in_the_guide_to_aggregates_does_what_it_says() {
    does_what_it_says(include_str!("../../docs/aggregates.md"));
}

#[test]
fn every_command_in_the_guide_to_operations_does_what_it_says() {
    does_what_it_says(include_str!("../../docs/operations.md"));
}

#[test]
fn every_command_in_the_guide_to_load_tests_does_what_it_says() {
    does_what_it_says(include_str!("../../docs/load-testing.md"));
}

fn does_what_it_says(page: &str) {
    let blocks: Vec<Block> =
        blocks(page).into_iter().filter(|block| !["rust", "text"].contains(&block.language)).collect();
    let shells: Vec<&Block> = blocks.iter().filter(|block| block.language == "sh").collect();
    assert!(!shells.is_empty(), "the page shows no command");
    let outputs = run(&shells);
    assert_eq!(outputs.len(), shells.len(), "a command failed:\n{}", outputs.join("\n"));

    let mut compared = 0;
    let mut shell = 0;
    for block in &blocks {
        match block.language {
            "sh" => shell += 1,
            "json" => {
                let shown: Value = serde_json::from_str(&block.text).unwrap();
                let printed: Value = serde_json::from_str(&outputs[shell - 1]).unwrap_or_else(|error| {
                    panic!("{error}: after\n{}\nprinted\n{}", shells[shell - 1].text, outputs[shell - 1])
                });
                assert_shown(&shown, &printed);
                compared += 1;
            }
            other => panic!("what is {other}?"),
        }
    }
    assert_eq!(compared, blocks.len() - shells.len());
}

#[test]
fn the_readme_names_the_test_command_that_is_running_this() {
    assert!(README.contains("`tests/run`"));
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("run").exists());
}

/// The output must contain what the page shows. The page need not show values that change with every run.
fn assert_shown(shown: &Value, printed: &Value) {
    match (shown, printed) {
        (Value::Object(shown), Value::Object(printed)) => {
            for (key, value) in shown {
                assert_shown(value, printed.get(key).unwrap_or_else(|| panic!("{key} is missing in {printed:?}")));
            }
            let varying = ["position", "etag", "operation", "since", "recorded_at", "request_id", "instance"];
            let more: Vec<_> = printed.keys().filter(|key| !shown.contains_key(*key)).collect();
            assert!(more.iter().all(|key| varying.contains(&key.as_str())), "the page does not show {more:?}");
        }
        _ => assert_eq!(shown, printed),
    }
}

fn blocks(markdown: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        match (inside, line.strip_prefix("```")) {
            (false, Some(language)) => {
                blocks.push(Block { language, text: String::new() });
                inside = true;
            }
            (true, Some(_)) => inside = false,
            (true, None) => {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            (false, None) => {}
        }
    }
    blocks
}

/// Runs the blocks in one shell that stops at the first failure, and returns the output of each.
fn run(shells: &[&Block]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let programs = directory.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    write_cargo(&programs);
    write_curl(&programs);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut script = String::from("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    for block in shells {
        script.push_str(&block.text);
        script.push_str(&format!("\necho; echo '{MARK}'\n"));
    }
    let script = script
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
        .replace("127.0.0.1:8443", &format!("127.0.0.1:{port}"))
        .replace("postgres://postgres@127.0.0.1:5432/dormouse", &Postgres::shared().create_database());

    let mut shell = Command::new("bash")
        .current_dir(directory.path())
        .env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()))
        .env("DORMOUSE__GATEWAY__LISTEN", format!("127.0.0.1:{port}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut outputs: Vec<String> = text.split(MARK).map(without_announcements).collect();
    // After the last mark there is no further output.
    let rest = outputs.pop().unwrap_or_default();
    assert!(output.status.success(), "the shell ended with {} after block {}: {rest}", output.status, outputs.len());
    outputs
}

/// The server announces its address on standard output, where a newcomer sees it between the answers.
fn without_announcements(output: &str) -> String {
    let lines = output.lines().filter(|line| !line.starts_with("listening on "));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// A `cargo` that runs programs that are already built: the server, or an example.
fn write_cargo(directory: &Path) {
    let (server, bank) = (dormouse_binary(), bank_example());
    let script = format!(
        "#!/bin/sh\n\
         [ \"$1 $2\" = 'run --release' ] || {{ echo \"the page runs cargo $*\" >&2; exit 1; }}\n\
         shift 2\n\
         program='{}'\n\
         if [ \"${{1-}} ${{2-}}\" = '--example bank' ]; then program='{}'; shift 2; fi\n\
         [ \"${{1-}}\" != -- ] || shift\n\
         exec \"$program\" \"$@\"\n",
        server.display(),
        bank.display()
    );
    write_program(directory, "cargo", &script);
}

/// A `curl` that fails unless the page expects the answer: success, or a domain's refusal.
fn write_curl(directory: &Path) {
    let script = "#!/bin/sh\n\
         PATH=${PATH#*:}\n\
         status=$(mktemp)\n\
         curl --write-out '%{stderr}%{http_code}' \"$@\" 2>\"$status\"\n\
         grep --quiet --extended-regexp '^(200|201|202|422)$' \"$status\" || { echo \"curl $*: $(cat \"$status\")\" >&2; exit 1; }\n\
         rm \"$status\"\n";
    write_program(directory, "curl", script);
}

fn write_program(directory: &Path, name: &str, script: &str) {
    let path = directory.join(name);
    std::fs::write(&path, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, executable).unwrap();
}
