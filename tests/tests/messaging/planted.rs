//! Planted bugs (`tests/bugs`) of messaging, which the check must find. The same hunt without a bug must find nothing.

use dormouse_harness::{Finding, Promise, Server};

use crate::hunt::{TROUBLE, hunt, troubled};

/// The number of hunts before a bug counts as missed.
const HUNTS: usize = 4;

/// Kills of one hunt.
const KILLS: usize = 3;

#[test]
fn without_a_bug_there_is_nothing_to_find() {
    assert_eq!(findings(""), []);
}

#[test]
fn progress_that_is_stored_before_the_effect_is_found() {
    is_found("bug-progress-before-effect", &[Promise::MessagesArriveOnce, Promise::EffectsHappen]);
}

#[test]
fn a_key_that_depends_on_the_attempt_is_found() {
    is_found("bug-key-by-attempt", &[Promise::MessagesArriveOnce]);
}

#[test]
fn a_sequence_that_is_not_held_is_found() {
    is_found("bug-sequence-not-held", &[Promise::SequencesKeepOrder]);
}

#[test]
fn a_timer_of_a_former_generation_is_found() {
    is_found("bug-stale-timer", &[Promise::TimersFireOnce]);
}

#[track_caller]
fn is_found(bug: &str, broken: &[Promise]) {
    let planted = format!("{bug}=return");
    for hunt in 1..=HUNTS {
        let found = findings(&planted);
        if let Some(finding) = found.iter().find(|finding| broken.contains(&finding.broken)) {
            println!("{bug} was found at hunt {hunt}, {} findings, such as {finding}", found.len());
            return;
        }
        println!("{bug} was missed, other findings: {found:?}");
    }
    panic!("{bug} was not found in {HUNTS} hunts");
}

fn findings(planted: &str) -> Vec<Finding> {
    let mut server = troubled(Server::builder(), &format!("{planted};{TROUBLE}")).start();
    let (_, check) = hunt(&mut server, KILLS);
    check.findings()
}
