//! Tests that cannot tell a broken process from a sound one prove nothing. Each test switches on a planted bug
//! (`tests/bugs`), and the checks must find it. The same hunt without the bug must find nothing.
//!
//! `tests/README.md` lists which test finds which bug, also the tests of other files.

use std::os::unix::process::ExitStatusExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use dormouse_harness::{Finding, LedgerCheck, Promise, Server, Shop, failing_binary};

/// The number of hunts before a bug counts as missed. Nearly all bugs are found in the first one.
const HUNTS: usize = 6;

/// The number of acknowledgements before the end.
const ACKNOWLEDGED: usize = 200;

/// The bound for them.
const LOAD_BOUND: Duration = Duration::from_secs(20);

/// The bound for a drain, and for the end at a failpoint.
const END_BOUND: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(5);

/// When a batch is gathered, the writer waits, and the process dies right before that batch is committed. Three batches
/// wait, because a batch before may have nothing to commit.
const DIES_LATE: &str = "gathered=8*off->3*sleep(1500);committing=8*off->1*return(abort)";

/// A process that answers no client for this time hangs.
const SILENCE: Duration = Duration::from_secs(1);

/// The signal that ends a process that aborts.
const SIGABRT: i32 = 6;

/// The conditions under which a bug shows.
struct Hunt {
    bug: &'static str,
    /// Another bug without which this one does no harm, and the promise that the other one breaks alone.
    beside: Option<(&'static str, Promise)>,
    /// Other failpoints: mostly a pause, where the bug needs some time.
    failpoints: &'static str,
    settings: &'static [&'static str],
    skus: usize,
    readers: usize,
    end: End,
}

/// How the process ends before the check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// By SIGKILL, when no client gets an answer any more.
    KilledInSilence,
    /// By one of the hunt's failpoints.
    Aborted,
    Drained,
    /// It runs on.
    Not,
}

impl Default for Hunt {
    fn default() -> Self {
        Self { bug: "bug-no-fence", beside: None, failpoints: "", settings: &[], skus: 12, readers: 0, end: End::Not }
    }
}

#[test]
fn acknowledging_before_the_commit_is_found() {
    let hunt = Hunt {
        bug: "bug-acknowledge-before-commit",
        // While one batch waits, another one gathers, a large one. That waits until the process dies.
        failpoints: "committing=8*off->1*sleep(700)->1*sleep(5000)",
        end: End::KilledInSilence,
        ..Hunt::default()
    };
    hunt.finds(&[Promise::AcknowledgedIsThere]);
}

#[test]
fn an_index_ahead_of_the_log_is_found() {
    let hunt = Hunt {
        bug: "bug-index-ahead-of-log",
        // So small that the index is written every 50 events.
        settings: &["journal.batch_events=100", "journal.index_tail_events=100"],
        ..Hunt::default()
    };
    hunt.finds(&[Promise::AcknowledgedIsThere, Promise::Readable]);
}

#[test]
fn evicting_with_commits_in_flight_is_found() {
    let hunt = Hunt {
        bug: "bug-evict-with-commits-in-flight",
        // Decided events wait long enough for eviction and reads, and are never committed.
        failpoints: DIES_LATE,
        settings: &["passivation.idle_after=\"0s\"", "passivation.sweep_interval=\"20ms\""],
        readers: 8,
        end: End::Aborted,
        ..Hunt::default()
    };
    hunt.finds(&[Promise::ReadsAreTrue]);
}

/// As long as each aggregate has one activation, the writer has nothing to refuse. The check exists for the case that
/// another bug lets two activations work at the same time.
#[test]
fn a_writer_without_a_version_check_is_found() {
    let hunt = Hunt {
        bug: "bug-no-version-check",
        beside: Some(("bug-evict-with-commits-in-flight", Promise::ReadsAreFresh)),
        failpoints: "committing=sleep(5)",
        settings: &[
            "passivation.idle_after=\"0s\"",
            "passivation.sweep_interval=\"5ms\"",
            "passivation.dormant_budget=\"0 B\"",
        ],
        ..Hunt::default()
    };
    hunt.finds(&[Promise::HistoryIsDense, Promise::AcknowledgedIsThere, Promise::Readable]);
}

#[test]
fn a_snapshot_ahead_of_the_journal_is_found() {
    let hunt = Hunt {
        bug: "bug-snapshot-ahead-of-journal",
        // Decided events wait long enough for their snapshots to be written, and are never committed.
        failpoints: DIES_LATE,
        settings: &["snapshots.strategy=\"every_n\"", "snapshots.threshold=1"],
        end: End::Aborted,
        ..Hunt::default()
    };
    hunt.finds(&[Promise::StateIsFold]);
}

#[test]
fn committing_an_unknown_batch_twice_is_found() {
    let hunt = Hunt {
        bug: "bug-retry-unknown-commit",
        // The batch was committed, and the answer is lost.
        failpoints: "committed=10*off->1*return(lost)->10*off->1*return(lost)",
        ..Hunt::default()
    };
    hunt.finds(&[Promise::HistoryIsDense, Promise::Readable]);
}

#[test]
fn dropping_commands_while_draining_is_found() {
    let hunt = Hunt {
        bug: "bug-drop-on-drain",
        // The server serves requests for this time.
        settings: &["gateway.unready_for=\"300ms\""],
        end: End::Drained,
        ..Hunt::default()
    };
    hunt.finds(&[Promise::AcknowledgedIsThere]);
}

impl Hunt {
    fn finds(&self, broken: &[Promise]) {
        let is_known = |finding: &Finding| self.beside.is_some_and(|(_, breaks)| finding.broken == breaks);
        let sound: Vec<Finding> = self.run("").into_iter().filter(|finding| !is_known(finding)).collect();
        assert_eq!(sound, [], "without {}", self.bug);

        let planted = format!("{}=return", self.bug);
        for hunt in 1..=HUNTS {
            let findings = self.run(&planted);
            if let Some(finding) = findings.iter().find(|finding| broken.contains(&finding.broken)) {
                println!("{} was found at hunt {hunt}, {} findings, such as {finding}", self.bug, findings.len());
                return;
            }
            println!("{} was missed, {} other findings", self.bug, findings.len());
        }
        panic!("{} was not found in {HUNTS} hunts", self.bug);
    }

    fn run(&self, planted: &str) -> Vec<Finding> {
        let beside = self.beside.map(|(bug, _)| format!("{bug}=return")).unwrap_or_default();
        let server = Server::builder()
            .program(failing_binary())
            .environment("FAILPOINTS", format!("{planted};{beside};{}", self.failpoints));
        let mut server = self.settings.iter().fold(server, |server, setting| server.set(*setting)).start();
        let shop = Shop::builder().skus(self.skus).readers(self.readers).open(&server.url());
        match self.end {
            End::KilledInSilence => {
                wait_for_silence(&shop);
                server.kill();
            }
            End::Aborted => {
                let status = server.wait(END_BOUND);
                assert_eq!(status.signal(), Some(SIGABRT), "it ended with {status}\n{}", server.logs());
            }
            End::Drained => {
                wait_for_load(&shop);
                server.terminate();
                server.wait(END_BOUND);
            }
            End::Not => wait_for_load(&shop),
        }
        let ledger = shop.close();
        if self.end != End::Not {
            // The bug is still on, and no other failpoint is.
            server.set_environment("FAILPOINTS", planted);
            server.restart();
        }
        let check = LedgerCheck::of(&ledger, &server.client()).sole_writer();
        println!("`{planted}`: {check}");
        check.findings()
    }
}

/// Not `wait_for_acknowledgements`: a broken process may acknowledge nothing more, which the check must find.
fn wait_for_load(shop: &Shop) {
    let began = Instant::now();
    while shop.acknowledged() < ACKNOWLEDGED && began.elapsed() < LOAD_BOUND {
        sleep(POLL);
    }
}

fn wait_for_silence(shop: &Shop) {
    shop.wait_for_acknowledgements(1);
    let (mut acknowledged, mut since) = (shop.acknowledged(), Instant::now());
    while since.elapsed() < SILENCE {
        sleep(POLL);
        if shop.acknowledged() != acknowledged {
            (acknowledged, since) = (shop.acknowledged(), Instant::now());
        }
    }
}
