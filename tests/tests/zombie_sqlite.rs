//! An owner of a SQLite journal is stopped, another process takes over, and the owner continues.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dormouse_harness::{Call, Client, FaultyDisk, Outcome, Server, ServerBuilder, eventually, failing_binary};
use serde_json::json;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);

/// The file that a commit syncs.
const LOG: &str = "journal.db-wal";

#[test]
fn an_owner_stopped_before_a_commit_appends_nothing_once_it_was_taken_over() {
    let after = stopped_before_a_commit("");
    assert_ne!(after.answer, Outcome::Ok { version: 4 });
    assert_eq!(after.history, 3, "its last command was never committed");
    assert_eq!(after.code, Some(1));
    assert!(after.said.contains("another process has taken over the journal"), "{}", after.said);
}

/// The test above proves nothing unless it fails when commits do not check the owner of the log.
#[test]
fn an_owner_that_is_not_fenced_is_found() {
    let after = stopped_before_a_commit("bug-no-fence=return");
    assert_eq!(after.answer, Outcome::Ok { version: 4 }, "{}", after.said);
}

#[test]
fn a_successor_waits_for_an_owner_stopped_inside_a_commit_and_names_it() {
    let place = TempDir::new().unwrap();
    let (mut zombie, _answer) = stopped_inside_a_commit(place.path());
    let refused = on(place.path()).set("journal.takeover_timeout=1s").try_start().unwrap_err();
    let named = format!("process {}, which is stopped, has held the lock of", zombie.pid());
    assert!(refused.logs().contains(&named), "{refused}");
    assert!(refused.logs().contains(&format!("kill -KILL {}", zombie.pid())), "{refused}");
    assert_eq!(refused.status().unwrap().code(), Some(1));

    zombie.kill();
    let successor = on(place.path()).start();
    // Its last command is in the log or not: its client got no answer.
    let before = history(&successor);
    assert_eq!(deliver(&successor.client(), "after"), Outcome::Ok { version: before + 1 });
}

#[test]
fn an_owner_stopped_inside_a_commit_finishes_it_before_it_is_taken_over() {
    let place = TempDir::new().unwrap();
    let (mut zombie, answer) = stopped_inside_a_commit(place.path());
    let successor = thread::spawn({
        let successor = on(place.path());
        move || successor.start()
    });
    eventually("the successor waits", SOON, || opened_by_another(&zombie, &place.path().join("journal.db")));
    zombie.resume();
    // It was committed before the takeover, so the answer is true.
    assert_eq!(answer.join().unwrap(), Outcome::Ok { version: 1 });
    let successor = successor.join().unwrap();
    assert_eq!(history(&successor), 1);
    assert_eq!(zombie.wait(SOON).code(), Some(1));
    assert!(zombie.logs().contains("another process has taken over the journal"), "{}", zombie.logs());
    assert_eq!(deliver(&successor.client(), "after"), Outcome::Ok { version: 2 });
}

/// What happened to an owner.
struct Afterlife {
    /// The answer to the fourth command, whose commit was about to start.
    answer: Outcome,
    /// The events that its successor knows.
    history: u64,
    code: Option<i32>,
    said: String,
}

/// The owner is stopped when its fourth batch is checked and about to be committed. It continues when another server
/// has taken over. The new owner commits nothing meanwhile, so no position is taken, and only the epoch prevents the
/// append.
fn stopped_before_a_commit(bug: &str) -> Afterlife {
    let place = TempDir::new().unwrap();
    let mut zombie = on(place.path())
        .program(failing_binary())
        .environment("FAILPOINTS", format!("committing=3*off->1*sleep(5000);{bug}"))
        .start();
    for version in 1..=3 {
        assert_eq!(deliver(&zombie.client(), &version.to_string()), Outcome::Ok { version });
    }
    let client = zombie.client();
    let answer = thread::spawn(move || deliver(&client, "4"));
    eventually("the writer is about to commit", SOON, || has_sleeping_worker(&zombie));
    zombie.suspend();

    let successor = on(place.path()).start();
    assert_eq!(history(&successor), 3);
    zombie.resume();
    let answer = answer.join().unwrap();
    let status = zombie.wait(SOON);
    Afterlife { answer, history: history(&successor), code: status.code(), said: zombie.logs() }
}

/// An owner that holds the write lock of its log, and a client that waits for it.
fn stopped_inside_a_commit(place: &Path) -> (Server, JoinHandle<Outcome>) {
    let disk = FaultyDisk::new();
    let zombie = on(place).on_faulty(&disk).start();
    disk.hold(Call::Fsync, LOG);
    let client = zombie.client();
    let answer = thread::spawn(move || deliver(&client, "1"));
    // The indexer syncs the log as well, without the lock: a sync alone does not show that a commit is in progress.
    eventually("it commits", SOON, || {
        zombie.logs().contains(&FaultyDisk::trace(Call::Fsync, LOG)) && holds_write_lock(&zombie, place)
    });
    zombie.suspend();
    disk.heal();
    (zombie, answer)
}

fn on(place: &Path) -> ServerBuilder {
    Server::builder().journal(format!("sqlite://{}", place.display()))
}

fn deliver(client: &Client, key: &str) -> Outcome {
    let delivery = json!({"change": 1, "reason": "delivery"});
    Outcome::from(&client.post_with("/v1/inventory/a/update-inventory", &[("Idempotency-Key", key)], &delivery))
}

fn history(server: &Server) -> u64 {
    let events = server.client().get("/v1/inventory/a/events").unwrap();
    if events.status == 404 { 0 } else { events.json()["events"].as_array().unwrap().len() as u64 }
}

/// Whether one of the threads that all tasks share sleeps for a fixed time, which happens only at a failpoint.
fn has_sleeping_worker(server: &Server) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    threads.flatten().any(|thread| {
        let of = |what: &str| fs::read_to_string(thread.path().join(what)).unwrap_or_default();
        of("comm").starts_with("server") && of("wchan").contains("nanosleep")
    })
}

/// Whether it is in a write transaction of the log. Linux lists the lock: byte 120 of the shared memory
/// (<https://sqlite.org/walformat.html#wal_locks>), in a line such as `1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 120
/// 120`.
fn holds_write_lock(server: &Server, place: &Path) -> bool {
    let shm = fs::metadata(place.join("journal.db-shm")).unwrap();
    let (process, inode) = (server.pid().to_string(), format!(":{}", shm.ino()));
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|lock| {
        let fields: Vec<&str> = lock.split_whitespace().collect();
        matches!(fields[..], [_, "POSIX", _, "WRITE", holder, file, "120", "120"] if holder == process && file.ends_with(&inode))
    })
}

fn opened_by_another(server: &Server, file: &Path) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut others = processes.filter(|process| process.file_name().to_string_lossy() != server.pid().to_string());
    others.any(|process| {
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { return false };
        descriptors.flatten().any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target == file))
    })
}
