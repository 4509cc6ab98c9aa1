//! At whatever step the process dies, no acknowledged command is lost, and views equal the fold of the log. Messages and
//! timers take effect once, and handlers act at least once. This tests every failpoint on every durable store.
//!
//! The memory store loses everything with its process; the simulation tests its failures.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use dormouse_harness::{
    DeliveryCheck, LedgerCheck, Postgres, Script, Server, ServerBuilder, Shop, differences, failing_binary,
};
use dormouse_kernel::failpoint::Step;

/// The signal that ends a process that aborts.
const SIGABRT: i32 = 6;

/// The bound for the end of the process under load.
const DEATH_BOUND: Duration = Duration::from_secs(60);

/// The number of acknowledgements after the last start, or while a step is not reached.
const ACKNOWLEDGED: usize = 200;

/// Where a handler writes its effects, in the directory of the server.
const EFFECTS: &str = "effects";

/// The bound for a drain under load.
const DRAIN_BOUND: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Sqlite,
    Postgres,
}

#[test]
fn dying_at_any_step_loses_nothing_on_sqlite() {
    dies_at_every_step(Store::Sqlite, || {
        // So small that the index is written every 200 events.
        Server::builder().set("journal.batch_events=200").set("journal.index_tail_events=400")
    });
}

#[test]
fn dying_at_any_step_loses_nothing_on_postgres() {
    let postgres = Postgres::start();
    dies_at_every_step(Store::Postgres, || Server::builder().journal(postgres.create_database()));
}

fn dies_at_every_step(store: Store, server: impl Fn() -> ServerBuilder) {
    for &step in Step::ALL {
        let server = server()
            .program(failing_binary())
            .set("passivation.max_live=12")
            .set("passivation.sweep_interval=\"20ms\"")
            .set("snapshots.strategy=\"every_n\"")
            .set("snapshots.threshold=10");
        if is_reached(store, step) { dies_at(step, server) } else { passes_without(step, server) }
    }
}

/// A new step counts as reached until this function excludes it.
fn is_reached(store: Store, step: Step) -> bool {
    match (store, step) {
        // PostgreSQL writes its indexes in the statement that appends.
        (Store::Postgres, Step::Indexing | Step::Indexed) => false,
        (Store::Sqlite | Store::Postgres, _) => true,
    }
}

/// The number of times that the process passes the step before it dies: enough to be under load.
fn passes(step: Step) -> usize {
    match step {
        // Once for each half of the tail.
        Step::Indexing | Step::Indexed => 2,
        // Once for each batch of snapshots.
        Step::Snapshotting | Step::Snapshotted => 30,
        // Once for each batch of a view; each of the four views processes several.
        Step::Projecting | Step::Projected => 200,
        // Once for each batch.
        Step::Gathered | Step::Committing | Step::Committed => 100,
        // Once for each of 12 aggregates.
        Step::FallingAsleep | Step::Waking => 100,
        // Once for each transaction of a consumer, which has many jobs.
        Step::StoringProgress | Step::StoredProgress => 100,
        _ => 300,
    }
}

/// The load that reaches the step.
fn script(step: Step) -> Script {
    match step {
        Step::Attempting | Step::Attempted | Step::StoringProgress | Step::StoredProgress => Script::Messages,
        _ => Script::Orders,
    }
}

/// Dies twice: under load, where the step waits for a moment before the process dies while all other threads run; and
/// at the first pass after the restart, during recovery.
fn dies_at(step: Step, server: ServerBuilder) {
    let under_load = format!("{}={}*off->1*return(abort-late)", step.name(), passes(step));
    let amid_recovery = format!("{}=return(abort)", step.name());
    let mut server = server.environment("FAILPOINTS", under_load).environment("EFFECTS", EFFECTS).start();
    let shop = Shop::builder().script(script(step)).open(&server.url());
    for next in [amid_recovery, String::new()] {
        let status = server.wait(DEATH_BOUND);
        assert_eq!(status.signal(), Some(SIGABRT), "{step:?}: it ended with {status}\n{}", server.logs());
        server.set_environment("FAILPOINTS", next);
        match server.try_restart() {
            Ok(()) => shop.moved_to(&server.url()),
            // Views catch up at once, maybe before the server is ready.
            Err(error) => {
                let signal = error.status().and_then(|status| status.signal());
                assert_eq!(signal, Some(SIGABRT), "{step:?}: {error}");
            }
        }
    }
    shop.wait_for_acknowledgements(ACKNOWLEDGED);
    let ledger = shop.close();
    match script(step) {
        Script::Orders => {
            let check = LedgerCheck::of(&ledger, &server.client()).sole_writer();
            println!("{step:?}: {check}");
            check.expect_none();
            let found = differences(&server.client());
            assert!(found.is_empty(), "{step:?}: views differ in {} places, such as {}", found.len(), found[0]);
        }
        Script::Messages => {
            let deliveries = DeliveryCheck::settled(&server.client(), &server.working_directory().join(EFFECTS));
            let check = LedgerCheck::of(&ledger, &server.client());
            println!("{step:?}: {check}; {deliveries}");
            check.expect_none();
            deliveries.expect_none();
        }
    }
}

/// The process would die at the first pass. It does not pass the step, neither under load nor while it drains.
fn passes_without(step: Step, server: ServerBuilder) {
    let mut server = server.environment("FAILPOINTS", format!("{}=return(abort)", step.name())).start();
    let shop = Shop::open(&server.url());
    shop.wait_for_acknowledgements(ACKNOWLEDGED);
    drop(shop.close());
    server.terminate();
    let status = server.wait(DRAIN_BOUND);
    assert!(status.success(), "{step:?} was not to be reached, it ended with {status}\n{}", server.logs());
    println!("{step:?}: not reached");
}
