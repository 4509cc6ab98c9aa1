//! Tests that cannot tell a broken process from a sound one prove nothing: here the classic bugs of event-sourced systems
//! are planted, and the checks must find each. The same hunt without the bug must come home with nothing.
//!
//! `tests/README.md` lists which test catches which bug, also those of other files.

use std::os::unix::process::ExitStatusExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use dormouse_harness::{Finding, LedgerCheck, Promise, Server, Shop, failing_binary};

/// How often a hunt is repeated before the bug counts as missed. Nearly all find it at once.
const HUNTS: usize = 6;

/// How much is acknowledged before the end.
const ACKNOWLEDGED: usize = 200;

/// How long to wait for that.
const LOAD_BOUND: Duration = Duration::from_secs(20);

/// How long a drain may take, or dying at a failpoint.
const END_BOUND: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(5);

/// A batch is gathered, the writer hangs, and the process dies right before that batch is committed. Three batches hang,
/// in case that one before was not worth a commit.
const DIES_LATE: &str = "gathered=8*off->3*sleep(1500);committing=8*off->1*return(abort)";

/// A process that answers nobody for so long hangs.
const SILENCE: Duration = Duration::from_secs(1);

/// How a process ends that aborts.
const SIGABRT: i32 = 6;

/// A setting in which a bug shows.
struct Hunt {
    bug: &'static str,
    /// Another bug without which this one does no harm, and what that breaks alone.
    beside: Option<(&'static str, Promise)>,
    /// What else fails: mostly a pause, where the bug needs a moment.
    failpoints: &'static str,
    settings: &'static [&'static str],
    skus: usize,
    readers: usize,
    end: End,
}

/// How the process ends before the verdict.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// By SIGKILL, when nobody is answered any more.
    KilledInSilence,
    /// By one of the hunt's failpoints.
    Aborted,
    Drained,
    /// It goes on.
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
        // While one batch waits another gathers, a large one. That waits until the process dies.
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
        // What was decided waits long enough to be evicted and looked at, and is never committed.
        failpoints: DIES_LATE,
        settings: &["passivation.idle_after=\"0s\"", "passivation.sweep_interval=\"20ms\""],
        readers: 8,
        end: End::Aborted,
        ..Hunt::default()
    };
    hunt.finds(&[Promise::ReadsAreTrue]);
}

/// As long as each aggregate has one activation, the writer has nothing to refuse: the check is there for the day when
/// another bug lets two activations work at once.
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
        // What was decided waits long enough for its snapshots to be written, and is never committed.
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
        // It was committed, and nobody is told.
        failpoints: "committed=10*off->1*return(lost)->10*off->1*return(lost)",
        ..Hunt::default()
    };
    hunt.finds(&[Promise::HistoryIsDense, Promise::Readable]);
}

#[test]
fn dropping_what_comes_while_draining_is_found() {
    let hunt = Hunt {
        bug: "bug-drop-on-drain",
        // So long it still serves.
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
            // The bug is still there, and nothing else fails any more.
            server.set_environment("FAILPOINTS", planted);
            server.restart();
        }
        let check = LedgerCheck::of(&ledger, &server.client()).sole_writer();
        println!("`{planted}`: {check}");
        check.findings()
    }
}

/// Not `wait_for_acknowledgements`: a broken process may acknowledge nothing more, which the verdict is to see.
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
