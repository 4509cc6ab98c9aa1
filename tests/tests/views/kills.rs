//! Every event has its effect exactly once, whenever the process is killed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread::sleep;
use std::time::Duration;

use dormouse_harness::{
    Client, Difference, Random, Server, Shop, VIEWS, cycles, differences, eventually, failing_binary,
};

use crate::operator::keep_rebuilding;
use crate::place::Place;

/// The number of kills in one test.
const KILLS: usize = 20;

/// The life of a process: from hardly started to well under load.
const LIFE: Range<Duration> = Duration::from_millis(50)..Duration::from_millis(700);

/// The maximum number of events in a batch; it changes with each life. With single events there are most moments for a
/// kill. With the largest batch, a view catches up in one transaction.
const BATCHES: [&str; 4] = ["1", "7", "64", "8192"];

/// The number of acknowledgements before the first kill, and after the last.
const ACKNOWLEDGED_BETWEEN: usize = 300;

/// The bound for the progress of a view after a restart.
const VIEW_BOUND: Duration = Duration::from_secs(60);

#[test]
fn views_equal_the_fold_of_the_log_after_sigkill_on_sqlite() {
    survives_sigkill(&Place::Sqlite);
}

#[test]
fn views_equal_the_fold_of_the_log_after_sigkill_on_postgres() {
    survives_sigkill(&Place::postgres());
}

/// In every other life, a view is being rebuilt when the kill comes.
fn survives_sigkill(place: &Place) {
    let mut random = Random::of_test();
    let mut server = place.server().start();
    let shop = Shop::open(&server.url());
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN);
    let mut seen = BTreeMap::new();
    for cycle in 1..=cycles(KILLS) {
        let life = random.duration(LIFE);
        if cycle % 2 == 0 {
            keep_rebuilding(&server.client(), VIEWS[random.below(VIEWS.len() as u64) as usize]);
        }
        sleep(life);
        server.kill();
        let batch = BATCHES[random.below(BATCHES.len() as u64) as usize];
        server.set_environment("DORMOUSE__PROJECTIONS__BATCH_EVENTS", batch);
        server.restart();
        println!("kill {cycle}, at {life:?}; batches of {batch} events follow");
        shop.moved_to(&server.url());
        each_goes_on(&server.client(), &mut seen);
    }
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN);
    drop(shop.close());
    let found = differences(&server.client());
    assert!(found.is_empty(), "{} differences, such as {}", found.len(), found[0]);
}

/// Each view has at least its position of before, and moves on.
#[track_caller]
fn each_goes_on(client: &Client, seen: &mut BTreeMap<&'static str, u64>) {
    for view in VIEWS {
        let seen = seen.entry(view).or_default();
        let first = position(client, view);
        assert!(first >= *seen, "{view} was at {seen} and is at {first}");
        *seen = eventually(&format!("progress of {view} from {first}"), VIEW_BOUND, || {
            Some(position(client, view)).filter(|at| *at > first)
        });
    }
}

#[track_caller]
fn position(client: &Client, view: &str) -> u64 {
    let answer = client.get(&format!("/v1/views/{view}?limit=1")).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["position"].as_u64().expect("a list says how far its view was")
}

/// The number of hunts before the bug counts as missed.
const HUNTS: usize = 3;

/// Kills of one hunt.
const HUNTING_KILLS: usize = 4;

/// The process waits between two commits of a view: without a bug, between two batches.
const LINGERS: &str = "projected=sleep(20)";

#[test]
fn an_offset_that_is_committed_before_its_rows_is_found() {
    is_found("bug-offset-before-rows");
}

#[test]
fn rows_that_are_committed_before_their_offset_are_found() {
    is_found("bug-rows-before-offset");
}

/// The same hunt without the bug finds nothing.
#[track_caller]
fn is_found(bug: &str) {
    assert_eq!(hunt(LINGERS), [], "without {bug}");
    let planted = format!("{bug}=return;{LINGERS}");
    let found = (1..=HUNTS).find_map(|number| hunt(&planted).into_iter().next().map(|found| (number, found)));
    let (number, found) = found.unwrap_or_else(|| panic!("{bug} was not found in {HUNTS} hunts"));
    println!("{bug} was found at hunt {number}: {found}");
}

fn hunt(failpoints: &str) -> Vec<Difference> {
    let mut random = Random::of_test();
    let mut server = Server::builder().program(failing_binary()).environment("FAILPOINTS", failpoints).start();
    let shop = Shop::builder().clients(16).open(&server.url());
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN);
    for _ in 0..HUNTING_KILLS {
        sleep(random.duration(LIFE));
        server.kill();
        server.restart();
        shop.moved_to(&server.url());
    }
    drop(shop.close());
    differences(&server.client())
}
