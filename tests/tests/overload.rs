//! More than a node can do: it does as much as ever, and refuses the rest at once.
//!
//! *Capacity* is the most that is acknowledged per second while clients wait for their answers. Ten times as much can be
//! offered only if the processor is not what limits it, because the generator shares the processors with the server, and
//! a request costs it as much to send as it costs the server to refuse. So a slow disk limits the node here: a failpoint
//! sleeps before each commit, and there are few permits. Where the processor is the limit, ten times as many clients as it
//! takes to use all of it are ten times its capacity: all of them are waiting all of the time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

#[path = "overload/lateness.rs"]
mod lateness;
#[path = "overload/restocking.rs"]
mod restocking;

use std::time::Duration;

use dormouse_harness::{
    Load, Report, Requested, Server, ServerBuilder, alone, failing_binary, forget_peak_resident_bytes,
    peak_resident_bytes, post_bytes, quantile, resident_bytes,
};

use lateness::Lateness;
use restocking::Restocking;

/// How many times its capacity is offered to a node.
const OVERLOAD: f64 = 10.0;

/// For how long.
const OVERLOADED_FOR: Duration = Duration::from_secs(30);

/// The least that is left of the capacity then.
const GOODPUT: f64 = 0.8;

/// Who is refused knows it within this time (p99),
const REFUSED_WITHIN: Duration = Duration::from_millis(100);

/// and the time that a busy machine lets the threads wait through which a refusal goes: network, worker, client and back.
const TURNS: u32 = 4;

/// The clients of an overload.
const CROWD: usize = 1_000;

/// What a node may take in memory for each of them: buffers of a connection, its task, a request.
const MEMORY_PER_CLIENT: u64 = 64 << 10;

/// For how long capacity is measured with one number of clients.
const MEASURING: Duration = Duration::from_secs(4);

/// Permits of the node, and so most commands of one commit.
const PERMITS: usize = 8;

/// Clients that make the most of the processor, as far as more of them would not be served faster.
const BUSY: usize = 64;

/// Comparisons, of which one must be good: a machine has other things to do now and then.
const ATTEMPTS: usize = 4;

/// Clients of one aggregate, and how many of them it lets in.
const QUEUE: usize = 100;
const QUEUE_PERMITS: usize = 4;

/// A disk that takes a fifth of a second to sync at most four events: twenty commands a second, however they fall into
/// batches. The rest of the store is memory, so that the real disk has no say.
fn slow_disk() -> ServerBuilder {
    let server = Server::builder().program(failing_binary()).journal("memory:").set("journal.batch_events=4");
    server.environment("FAILPOINTS", "committing=sleep(200)")
}

#[test]
fn at_ten_times_its_capacity_a_node_goes_on_and_refuses_the_rest_at_once() {
    let _alone = alone();
    let permits = |scope| format!("admission.per_{scope}={PERMITS}");
    let server = slow_disk().set(permits("aggregate")).set(permits("node")).start();
    let mut restocking = Restocking::of(&server);
    let capacity = [PERMITS, PERMITS * 2]
        .map(|clients| restocking.run(clients, None, MEASURING).per_second(200))
        .into_iter()
        .fold(0.0, f64::max);

    let memory = resident_bytes(server.pid());
    forget_peak_resident_bytes(server.pid());
    let lateness = Lateness::watch();
    let report = restocking.run(CROWD, Some(OVERLOAD * capacity), OVERLOADED_FOR);
    let peak = peak_resident_bytes(server.pid());

    let offered = report.requests.len() as f64 / report.lasted.as_secs_f64();
    eprintln!("capacity {capacity:.0}/s, offered {offered:.0}/s, {}", in_words(&report));
    assert!(offered > 0.9 * OVERLOAD * capacity, "the generator did not keep up: {offered:.0}/s of {capacity:.0}/s");
    let goodput = report.per_second(200);
    assert!(goodput >= GOODPUT * capacity, "{goodput:.0}/s of {capacity:.0}/s were left: {}", report.statuses());
    all_others_were_refused_at_once(&report, lateness);
    let bound = memory + CROWD as u64 * MEMORY_PER_CLIENT;
    assert!(peak < bound, "{} MiB at the peak, {} before", peak >> 20, memory >> 20);
    restocking.everything_acknowledged_is_there_and_nothing_else();
}

fn all_others_were_refused_at_once(report: &Report, lateness: Lateness) {
    let refused: Vec<&Requested> = report.requests.iter().filter(|request| request.status != Some(200)).collect();
    assert!(refused.len() > report.count(200), "hardly anybody was refused: {}", report.statuses());
    let is_shed = |request: &&&Requested| matches!(request.status, Some(429 | 503)) && request.retry_after;
    assert_eq!(refused.iter().filter(is_shed).count(), refused.len(), "{}", report.statuses());
    let slow = quantile(0.99, refused.iter().map(|request| request.took));
    let late = lateness.p99();
    let bound = REFUSED_WITHIN + TURNS * late;
    assert!(slow < bound, "one in 100 was refused after {slow:?}, the machine is {late:?} late");
}

fn in_words(report: &Report) -> String {
    let took = |status, part| quantile(part, report.with_status(status).map(|request| request.took));
    format!(
        "{:.0}/s acknowledged, p50 {:?} p99 {:?}; refused p50 {:?} p99 {:?}; {}",
        report.per_second(200),
        took(200, 0.5),
        took(200, 0.99),
        took(503, 0.5),
        took(503, 0.99),
        report.statuses()
    )
}

#[test]
fn ten_times_as_many_clients_as_make_a_node_busy_get_as_much_done() {
    let _alone = alone();
    let server = Server::builder().journal("memory:").start();
    let mut restocking = Restocking::of(&server);
    let crowd = OVERLOAD as usize * BUSY;
    // Wakes the aggregates.
    let _warm = restocking.run(crowd, None, MEASURING);
    let mut attempts = (0..ATTEMPTS).map(|_| {
        let capacity = restocking.run(BUSY, None, MEASURING).per_second(200);
        let report = restocking.run(crowd, None, MEASURING);
        assert_eq!(report.count(200), report.requests.len(), "there is room for all of them: {}", report.statuses());
        eprintln!("capacity {capacity:.0}/s, overloaded {}", in_words(&report));
        report.per_second(200) / capacity
    });
    assert!(attempts.any(|left| left >= GOODPUT), "too little of its capacity was left, {ATTEMPTS} times");
    restocking.everything_acknowledged_is_there_and_nothing_else();
}

#[test]
fn an_aggregate_with_too_many_clients_refuses_them_at_once_and_others_do_not_notice() {
    let _alone = alone();
    let server = slow_disk().set(format!("admission.per_aggregate={QUEUE_PERMITS}")).start();
    let hot = Load::new(server.address(), QUEUE, |_, _| {
        post_bytes("/v1/inventory/hot/update-inventory", r#"{"change":1,"reason":"delivery"}"#)
    });
    let hot = hot.per_second(2.0 * QUEUE as f64).start();
    let mut restocking = Restocking::of(&server);
    let lateness = Lateness::watch();
    let others = restocking.run(PERMITS, None, MEASURING);
    let hot = hot.stop();

    assert_eq!(others.count(200), others.requests.len(), "{}", others.statuses());
    assert!(hot.count(200) > 0, "{}", hot.statuses());
    all_others_were_refused_at_once(&hot, lateness);
    restocking.everything_acknowledged_is_there_and_nothing_else();
    let version = server.client().get("/v1/inventory/hot").unwrap().json()["version"].as_u64();
    assert_eq!(version, Some(hot.count(200) as u64));
}
