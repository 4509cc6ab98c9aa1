//! `projections`: the commands of operators, on a running server.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Instant;

use dormouse_harness::{Server, eventually};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tempfile::TempDir;

use super::{Ended, SOON, command, ended, restock, run, run_in, server_in};

const VIEW: &str = "inventory";

/// A server with this many events for one inventory, and a directory for it.
fn server_with(events: i64) -> (TempDir, Server) {
    let directory = TempDir::new().unwrap();
    let server = server_in(directory.path()).start();
    (1..=events).for_each(|change| restock(&server, change));
    (directory, server)
}

/// Runs `dormouse projections …` for that server.
fn projections(server: &Server, arguments: &[&str]) -> Ended {
    let url = server.url();
    run(&[&["projections"], arguments, &["--server", &url]].concat())
}

/// What it printed. Panics if it failed or printed an error.
#[track_caller]
fn output_of(server: &Server, arguments: &[&str]) -> String {
    let ended = projections(server, arguments);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}: {ended:?}");
    ended.stdout
}

/// All projections in the list.
fn all_listed(server: &Server) -> Vec<Value> {
    let list: Value = serde_json::from_str(&output_of(server, &["list", "--json"])).unwrap();
    list["projections"].as_array().unwrap().clone()
}

/// The projection in the list.
fn listed(server: &Server) -> Value {
    all_listed(server).into_iter().find(|one| one["name"] == VIEW).unwrap()
}

#[track_caller]
fn listed_when(server: &Server, is_so: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let seen = listed(server);
        if is_so(&seen) {
            return seen;
        }
        assert!(started.elapsed() < SOON, "the projection does not reach the expected state: {seen}");
    }
}

fn has_caught_up(seen: &Value) -> bool {
    seen["state"] == "running" && seen["lag"] == 0
}

#[test]
fn the_list_has_a_line_for_each_projection() {
    let (directory, server) = server_with(3);
    // Two tables are compared below, so no line may change any more.
    eventually("all projections catch up", SOON, || {
        all_listed(&server).iter().all(|seen| has_caught_up(seen) && seen["position"] == 3)
    });
    let table = output_of(&server, &["list"]);
    assert!(table.starts_with("NAME") && table.lines().count() > 1, "{table}");
    let line = table.lines().find(|line| line.starts_with(VIEW)).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells, [VIEW, "running", "1", "3", "0", "0"], "{table}");

    // Without --server, the server of the configuration is asked.
    let listen = format!("gateway.listen={}", server.address());
    let again = run_in(directory.path(), &["projections", "list", "--set", &listen]);
    assert_eq!((again.code, again.stdout), (Some(0), table));
}

#[test]
fn a_projection_is_paused_and_resumed() {
    let (_directory, server) = server_with(1);
    listed_when(&server, has_caught_up);
    assert_eq!(output_of(&server, &["pause", VIEW, VIEW]), format!("{VIEW}: paused at position 1\n"));
    restock(&server, 2);
    listed_when(&server, |seen| seen["lag"] == 1);
    let all = output_of(&server, &["pause", "--all"]);
    assert!(all.contains(&format!("{VIEW}: the projection is paused already\n")) && all.lines().count() > 1, "{all}");
    output_of(&server, &["resume", "--all"]);
    listed_when(&server, |seen| has_caught_up(seen) && seen["position"] == 2);
}

#[test]
fn a_rebuild_reports_its_end() {
    let (_directory, server) = server_with(5);
    let before = listed_when(&server, has_caught_up);
    let rebuilt = projections(&server, &["rebuild", VIEW]);
    assert_eq!((rebuilt.code, rebuilt.stdout), (Some(0), format!("{VIEW}: rebuilt, at position 5\n")));
    // Without a terminal there is no bar.
    assert!(!rebuilt.stderr.contains('\u{1b}'), "{}", rebuilt.stderr);
    let once = listed(&server);
    assert!(once["build"].as_u64() > before["build"].as_u64(), "{once}");

    let rebuilt = projections(&server, &["rebuild", "--all", "--json"]);
    let outcomes: Value = serde_json::from_str(&rebuilt.stdout).unwrap();
    assert!(outcomes.as_array().unwrap().iter().all(|outcome| outcome["rebuilt"] == true), "{outcomes}");
    assert_eq!(output_of(&server, &["rebuild", VIEW, "--no-wait"]), format!("{VIEW}: rebuilding\n"));
    listed_when(&server, |seen| seen["rebuild"].is_null() && seen["build"].as_u64() > once["build"].as_u64());
}

#[test]
fn a_command_that_deletes_documents_asks_first() {
    let (_directory, server) = server_with(3);
    let before = listed_when(&server, has_caught_up);
    for arguments in [&["reset", VIEW, "--to", "0"][..], &["drop", VIEW]] {
        let ended = projections(&server, arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
        assert!(ended.stderr.ends_with("repeat the command with --yes to do it\n"), "{ended:?}");
    }
    assert_eq!(listed(&server), before);

    output_of(&server, &["reset", VIEW, "--to", "2", "--yes"]);
    let partial = listed_when(&server, |seen| has_caught_up(seen) && seen["build"] != before["build"]);
    assert_eq!((&before["begun_after"], &partial["begun_after"]), (&0.into(), &2.into()));
    assert!(output_of(&server, &["list"]).contains("partial: lacks the events up to 2, rebuild it"));
    let health = server.client().get("/health/projections").unwrap();
    assert!(health.text().contains("it was reset: it lacks the events up to 2"), "{health}");
    let asked = projections(&server, &["reset", VIEW, "--to", "2"]);
    assert!(asked.stderr.contains("values that add up over an aggregate's life"), "{asked:?}");
    let at_work = projections(&server, &["drop", VIEW, "--yes"]);
    assert_eq!(
        (at_work.code, at_work.stderr),
        (Some(1), "dormouse: the projection is running: pause it first\n".to_owned())
    );
    output_of(&server, &["pause", VIEW]);
    assert_eq!(output_of(&server, &["drop", VIEW, "--yes"]), format!("{VIEW}: dropped\n"));
    assert_eq!(listed(&server)["state"], "dropped");
}

#[test]
fn an_error_is_one_line() {
    let (_directory, server) = server_with(0);
    let url = server.url();
    for (arguments, code, expected) in [
        (&["pause", "inventry", "--server", &url][..], 2, "did you mean \"inventory\"?"),
        (&["rebuild", VIEW, "inventry", "--server", &url], 2, "did you mean \"inventory\"?"),
        (&["parked", VIEW, "SKU-1", "--server", &url], 2, "write type/id, such as order/o-17"),
        (&["retry", VIEW, "inventory/SKU-1", "--server", &url], 1, "no event of inventory/SKU-1 is parked"),
        (&["reset", VIEW, "--to", "9", "--yes", "--server", &url], 2, "there is no position 9: the journal ends at 0"),
        (&["pause"], 2, "required arguments were not provided"),
        (&["list", "--server", "127.0.0.1:8080"], 2, "is not an address such as http://127.0.0.1:8080"),
        (&["list", "--set", "gateway.listen=127.0.0.1:0"], 2, "name the server with --server"),
        // No server listens on that port.
        (&["list", "--server", "http://127.0.0.1:1"], 1, "start it with `dormouse serve`"),
    ] {
        let ended = run(&[&["projections"], arguments].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.starts_with("dormouse: ") && ended.stderr.contains(expected), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
    assert_eq!(output_of(&server, &["parked", VIEW]), format!("{VIEW}: nothing is parked\n"));
    // With one unknown name, no projection is changed.
    assert!(listed(&server)["rebuild"].is_null());
}

/// A command on a terminal, which gets its messages.
struct Terminal {
    child: Child,
    controller: File,
}

impl Terminal {
    fn run(directory: &Path, arguments: &[&str]) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal: OwnedFd = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap().into();
        let mut command = command(directory, arguments);
        let child = command.env("TERM", "xterm").stdout(Stdio::piped()).stderr(terminal).spawn().unwrap();
        Self { child, controller: controller.into() }
    }

    /// Reads until the terminal shows this text.
    fn shows(&mut self, wanted: &str) -> String {
        let mut shown = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&shown).contains(wanted) {
            // Reading fails once no process has the terminal open.
            let count = self.controller.read(&mut buffer).unwrap_or_else(|error| {
                panic!("{error}, and {wanted:?} was not shown: {}", String::from_utf8_lossy(&shown))
            });
            shown.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    fn ended(self) -> (Option<i32>, String) {
        // The output must be read, or the command waits until there is room.
        let mut controller = self.controller;
        thread::spawn(move || std::io::copy(&mut controller, &mut std::io::sink()));
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

#[test]
fn a_terminal_shows_a_bar_and_ctrl_c_ends_only_the_waiting() {
    let (directory, server) = server_with(4);
    listed_when(&server, has_caught_up);
    // The pause keeps the rebuild from ending before it was seen.
    output_of(&server, &["pause", VIEW]);
    let url = server.url();
    let arguments = ["projections", "rebuild", VIEW, "--server", &url];
    let mut terminal = Terminal::run(directory.path(), &arguments);
    let shown = terminal.shows("0 of 4 events");
    assert!(shown.contains(VIEW) && shown.contains("0 %"), "{shown:?}");
    kill_process(Pid::from_child(&terminal.child), Signal::INT).unwrap();
    terminal.shows("the rebuild continues");
    assert_eq!(terminal.ended(), (Some(130), String::new()));
    assert!(listed(&server)["rebuild"].is_object());

    // Another command that waits shows the end.
    let mut terminal = Terminal::run(directory.path(), &arguments);
    terminal.shows("0 of 4 events");
    output_of(&server, &["resume", VIEW]);
    assert_eq!(terminal.ended(), (Some(0), format!("{VIEW}: rebuilt, at position 4\n")));
}

#[test]
fn the_help_has_examples_of_each_command() {
    for name in ["list", "pause", "resume", "rebuild", "reset", "drop", "parked", "retry", "skip"] {
        let help = run(&["projections", name, "--help"]).stdout;
        assert!(help.contains("Example") && help.contains(&format!("dormouse projections {name}")), "{name}: {help}");
    }
    assert!(ended(command(Path::new("."), &["help", "projections"])).stdout.contains("projections rebuild orders"));
}

#[test]
fn the_metrics_have_the_lag_of_a_projection() {
    let (_directory, server) = server_with(3);
    listed_when(&server, |view| view["position"] == 3);
    // The metrics may show what has happened a moment later than the list.
    let shows = |lines: &[&str]| {
        eventually(&format!("{lines:?} in the metrics"), SOON, || {
            let text = server.client().get("/metrics").unwrap().text();
            lines.iter().all(|line| text.lines().any(|found| found.starts_with(line)))
        });
    };
    shows(&[
        "event_processing_lag_seconds{projection=\"inventory\"} 0",
        "projection_lag_events{projection=\"inventory\"} 0",
        "projection_events_total{projection=\"inventory\",build=\"served\"} 3",
        "projection_batch_events_bucket{projection=\"inventory\",build=\"served\",le=\"8192\"}",
    ]);
    output_of(&server, &["pause", VIEW]);
    restock(&server, 4);
    shows(&["projection_lag_events{projection=\"inventory\"} 1"]);
    eventually("a lag in seconds", SOON, || {
        let text = server.client().get("/metrics").unwrap().text();
        let line =
            text.lines().find_map(|line| line.strip_prefix("event_processing_lag_seconds{projection=\"inventory\"} "));
        line.unwrap().parse::<f64>().unwrap() > 0.0
    });
}
