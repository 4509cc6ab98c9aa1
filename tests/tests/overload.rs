//! More load than a node can handle: it refuses the rest, loses nothing, and stays within its memory. `benches/run
//! --only overload` measures its throughput meanwhile, and how fast it refuses.
//!
//! Ten times a node's capacity can be offered only if the processor is not the limit: the generator shares the
//! processors with the server, and sending a request costs it as much as refusing it costs the server. So a slow disk
//! limits the node here: a failpoint sleeps before each commit.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

#[path = "overload/hogs.rs"]
mod hogs;
#[path = "overload/restocking.rs"]
mod restocking;

use std::time::Duration;

use dormouse_harness::{
    Load, Postgres, Report, Requested, Server, ServerBuilder, alone, cycles, eventually, failing_binary,
    forget_peak_resident_bytes, peak_resident_bytes, post_bytes, resident_bytes,
};

use hogs::Hogs;
use restocking::{Restocking, restock};

/// The capacity of a node with a slow disk: this many events per commit, with a pause before each.
const EVENTS_PER_COMMIT: usize = 4;
const PAUSE: Duration = Duration::from_millis(200);
const CAPACITY: f64 = EVENTS_PER_COMMIT as f64 * 5.0;

/// The load as a multiple of the capacity, and its duration.
const OVERLOAD: f64 = 10.0;
const OVERLOADED_FOR: Duration = Duration::from_secs(10);

/// The clients of an overload.
const CROWD: usize = 1_000;

/// The memory for each of them: buffers of a connection, its task, a request.
const MEMORY_PER_CLIENT: u64 = 64 << 10;

/// Permits of the node.
const PERMITS: usize = 8;

/// The clients of one aggregate, and how many of them it admits.
const QUEUE: usize = 100;
const QUEUE_PERMITS: usize = 4;

/// The duration of the load of other clients.
const BESIDE: Duration = Duration::from_secs(4);

/// Writers beside programs that use all of the processor: the duration of a campaign, and the number of campaigns per
/// server.
const WRITERS: usize = 64;
const HOGS: usize = 4;
const BESIDE_HOGS: Duration = Duration::from_secs(8);
const TIMES_TO_A_LIFE: usize = 10;

/// Far longer than a commit takes on such a busy machine.
const HANGS: Duration = Duration::from_secs(60);

/// The store is in memory, so that the real disk does not matter.
fn slow_disk() -> ServerBuilder {
    let server = Server::builder().program(failing_binary()).journal("memory:");
    let server = server.set(format!("journal.batch_events={EVENTS_PER_COMMIT}"));
    server.environment("FAILPOINTS", format!("committing=sleep({})", PAUSE.as_millis()))
}

#[test]
fn at_ten_times_its_capacity_a_node_goes_on_and_refuses_the_rest() {
    let _alone = alone();
    let permits = |scope| format!("admission.per_{scope}={PERMITS}");
    // A client of such a crowd sends only every few seconds, and the server must not take it for idle.
    let patient = ["gateway.header_timeout=\"60s\"", "gateway.request_timeout=\"60s\""];
    let server = patient.into_iter().fold(slow_disk(), ServerBuilder::set);
    let server = server.set(permits("aggregate")).set(permits("node")).start();
    let mut restocking = Restocking::of(&server);
    let memory = resident_bytes(server.pid());
    forget_peak_resident_bytes(server.pid());
    let report = restocking.run(CROWD, Some(OVERLOAD * CAPACITY), OVERLOADED_FOR);
    let peak = peak_resident_bytes(server.pid());

    assert!(report.count(200) > 0, "nothing was done: {}", report.statuses());
    all_others_were_refused(&report);
    let bound = memory + CROWD as u64 * MEMORY_PER_CLIENT;
    assert!(peak < bound, "{} MiB at the peak, {} before", peak >> 20, memory >> 20);
    restocking.each_acknowledged_command_is_in_the_log_and_no_other();
}

/// With a `Retry-After` header.
fn all_others_were_refused(report: &Report) {
    let refused: Vec<&Requested> = report.requests.iter().filter(|request| request.status != Some(200)).collect();
    assert!(refused.len() > report.count(200), "hardly anybody was refused: {}", report.statuses());
    let is_shed = |request: &&&Requested| matches!(request.status, Some(429 | 503)) && request.retry_after;
    assert_eq!(refused.iter().filter(is_shed).count(), refused.len(), "{}", report.statuses());
}

#[test]
fn an_aggregate_with_too_many_clients_refuses_them_and_others_are_served() {
    let _alone = alone();
    let server = slow_disk().set(format!("admission.per_aggregate={QUEUE_PERMITS}")).start();
    let hot = Load::new(server.address(), QUEUE, |_, _| {
        post_bytes("/v1/inventory/hot/update-inventory", r#"{"change":1,"reason":"delivery"}"#)
    });
    let hot = hot.per_second(2.0 * QUEUE as f64).start();
    let mut restocking = Restocking::of(&server);
    let others = restocking.run(PERMITS, None, BESIDE);
    let hot = hot.stop();

    assert_eq!(others.count(200), others.requests.len(), "{}", others.statuses());
    assert!(hot.count(200) > 0, "{}", hot.statuses());
    all_others_were_refused(&hot);
    restocking.each_acknowledged_command_is_in_the_log_and_no_other();
    let version = server.client().get("/v1/inventory/hot").unwrap().json()["version"].as_u64();
    assert_eq!(version, Some(hot.count(200) as u64));
}

/// In one of four runs of 80 s, a commit never ended: the task that had to continue it waited for a thread that waited
/// for the task.
#[test]
fn the_writer_goes_on_beside_programs_that_take_all_of_the_processor() {
    let _alone = alone();
    let _hogs = Hogs::start(HOGS);
    let mut left = cycles(1);
    while left > 0 {
        let mut server = Server::builder().journal(Postgres::shared().create_database()).start();
        for _ in 0..left.min(TIMES_TO_A_LIFE) {
            let load = Load::new(server.address(), WRITERS, |client, _| {
                post_bytes(&restock(client), r#"{"change":1,"reason":"delivery"}"#)
            });
            let report = load.run(BESIDE_HOGS);
            println!("beside {HOGS} programs: {}", report.statuses());
            eventually("a command is carried out", HANGS, || {
                let delivery = serde_json::json!({"change": 1, "reason": "delivery"});
                server.client().post(&restock(0), &delivery).is_ok_and(|answer| answer.status == 200)
            });
            eventually("readiness", HANGS, || {
                server.client().get("/health/ready").is_ok_and(|answer| answer.status == 200)
            });
        }
        server.terminate();
        assert_eq!(server.wait(HANGS).code(), Some(0), "{}", server.logs());
        left -= left.min(TIMES_TO_A_LIFE);
    }
}
