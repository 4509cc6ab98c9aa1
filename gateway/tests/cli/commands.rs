//! The output of the commands.

use std::fs;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use super::{closed_pipe, command, ended, printed, restock, run_in, server_in};

const COMMANDS: [&str; 19] = [
    "serve",
    "config",
    "events",
    "import",
    "projections",
    "listeners",
    "queues",
    "failed",
    "timers",
    "cache",
    "snapshots",
    "webhooks",
    "auth",
    "keys",
    "audit",
    "encryption",
    "forget",
    "migrate",
    "completions",
];

#[test]
fn help_lists_every_command_with_examples() {
    for help in [printed(&["--help"]), printed(&["-h"]), printed(&["help"])] {
        for name in COMMANDS {
            assert!(help.contains(&format!("\n  {name} ")), "{name}: {help}");
        }
    }
    assert!(printed(&["--help"]).contains("Examples:\n  dormouse "));
}

#[test]
fn the_help_of_a_command_explains_it() {
    let help = printed(&["help", "serve"]);
    for expected in [
        "listening on http://",
        "SIGTERM",
        "gateway.unready_for",
        "gateway.drain_timeout",
        "Examples:",
        "--set <SECTION.KEY=VALUE>",
    ] {
        assert!(help.contains(expected), "{expected}: {help}");
    }
    for name in COMMANDS {
        assert!(printed(&[name, "--help"]).contains(&format!("dormouse {name}")), "{name}");
    }
}

#[test]
fn the_version_is_one_line() {
    assert_eq!(printed(&["--version"]), format!("dormouse {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn config_print_shows_the_origin_of_every_value() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("my.toml"), "[log]\nlevel = 'warn'\n").unwrap();
    let arguments = ["--set", "runtime.shards=16", "config", "print", "--profile", "production", "--config", "my.toml"];
    let mut command = command(directory.path(), &arguments);
    command.env("DORMOUSE__JOURNAL__URL", "postgres://app:hunter2@db/app");
    let ended = ended(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "[gateway]\nlisten = \"127.0.0.1:8080\" # default\n",
        "\nunready_for = \"5s\" # profile production\ndrain_timeout = \"20s\" # profile production\n",
        "\nlevel = \"warn\" # file my.toml:2\n",
        "\nurl = \"postgres://app:***@db/app\" # environment DORMOUSE__JOURNAL__URL\n",
        "\nshards = 16 # --set\n",
    ] {
        assert!(ended.stdout.contains(line), "{line}: {}", ended.stdout);
    }
}

#[test]
fn the_output_of_config_print_is_a_configuration_file() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("printed.toml"), printed(&["config", "print", "--set", "runtime.shards=16"]))
        .unwrap();
    let again = run_in(directory.path(), &["config", "print", "--config", "printed.toml"]);
    assert!(again.stdout.contains("\nshards = 16 # file printed.toml:"), "{again:?}");
}

#[test]
fn config_print_has_rows_for_programs() {
    let rows: Value =
        serde_json::from_str(&printed(&["config", "print", "--json", "--set", "runtime.shards=16"])).unwrap();
    let row = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    assert_eq!(row("runtime.shards"), serde_json::json!({"key": "runtime.shards", "value": 16, "origin": "--set"}));
    assert_eq!(row("gateway.max_body")["origin"], "default");
}

#[test]
fn config_check_says_ok() {
    assert_eq!(printed(&["config", "check", "--profile", "enterprise", "--set", "auth.required=false"]), "ok\n");
}

#[test]
fn config_default_is_a_file_that_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let default = printed(&["config", "default"]);
    assert!(default.starts_with("# Dormouse: every setting"));
    fs::write(directory.path().join("default.toml"), default).unwrap();
    let checked = run_in(directory.path(), &["config", "check", "--config", "default.toml"]);
    assert_eq!(checked.stdout, "ok\n");
}

#[test]
fn completions_know_the_commands() {
    let script = printed(&["completions", "bash"]);
    assert!(script.contains("_dormouse()") && COMMANDS.iter().all(|name| script.contains(name)), "{script}");
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let directory = TempDir::new().unwrap();
    for arguments in [&["config", "default"][..], &["completions", "zsh"], &["--help"], &["config", "print"]] {
        let mut command = command(directory.path(), arguments);
        command.stdout(closed_pipe()).stderr(Stdio::piped());
        let ended = ended(command);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn migrate_prints_both_versions() {
    let directory = TempDir::new().unwrap();
    let migrate = || run_in(directory.path(), &["migrate", "--set", "journal.url=sqlite://journal"]);
    assert_eq!(migrate().stdout, "sqlite://journal migrated from schema version 0 to 1\n");
    assert_eq!(migrate().stdout, "sqlite://journal is up to date at schema version 1\n");
    assert!(directory.path().join("journal/journal.db").is_file());
    assert_eq!(printed(&["migrate", "--set", "journal.url=memory:"]), "memory: has no schema\n");
}

#[test]
fn events_are_shown_beside_a_running_server() {
    let directory = TempDir::new().unwrap();
    let mut server = server_in(directory.path()).start();
    for change in 1..=4 {
        restock(&server, change);
    }
    let show = |more: &[&str]| {
        let arguments = [&["events", "show", "inventory", "SKU-1"], more].concat();
        let shown = run_in(directory.path(), &arguments);
        assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""), "{shown:?}");
        let events = shown.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.map(|event| event["version"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(show(&[]), [1, 2, 3, 4]);
    assert_eq!(show(&["--after", "1", "--limit", "2"]), [2, 3]);

    restock(&server, 5);
    assert_eq!(show(&["--after", "4"]), [5]);
    server.kill();
    assert_eq!(show(&["--limit", "1"]), [1]);
}

#[test]
fn an_aggregate_without_events_is_a_failure_for_scripts() {
    let directory = TempDir::new().unwrap();
    let server = server_in(directory.path()).start();
    restock(&server, 1);
    for (arguments, expected) in [
        (&["order", "o-1"][..], "dormouse: order/o-1 has no events\n"),
        (&["inventory", "SKU-1", "--after", "1"], "dormouse: inventory/SKU-1 has no events after version 1\n"),
    ] {
        let ended = run_in(directory.path(), &[&["events", "show"], arguments].concat());
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(1), "", expected));
    }
}
