//! No acknowledged command is lost, and none is applied twice: with the real binary, real databases and real SIGKILL.

use std::ops::Range;
use std::thread::sleep;
use std::time::Duration;

use dormouse_harness::{
    DeliveryCheck, LedgerCheck, Log, Postgres, Random, Server, ServerBuilder, Shop, cycles, quick_check,
};

/// The number of kills in one test.
const KILLS: usize = 20;

/// The life of a process: from hardly started to well under load.
const LIFE: Range<Duration> = Duration::from_millis(50)..Duration::from_millis(1500);

/// The number of acknowledgements before the first kill, and after the last.
const ACKNOWLEDGED_BETWEEN: usize = 300;

/// The bound for a drain under load.
const DRAIN_BOUND: Duration = Duration::from_secs(30);

#[test]
fn everything_acknowledged_survives_sigkill_on_sqlite() {
    // The index follows closely, so that kills strike it as well.
    survives_sigkill(Server::builder().set("journal.batch_events=200").set("journal.index_tail_events=400"));
}

#[test]
fn everything_acknowledged_survives_sigkill_on_postgres() {
    let postgres = Postgres::start();
    survives_sigkill(Server::builder().journal(postgres.create_database()));
}

fn survives_sigkill(server: ServerBuilder) {
    let mut random = Random::of_test();
    let mut server = with_little_room(server).start();
    let shop = Shop::open(&server.url());
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN);
    let mut seen = 0;
    for cycle in 1..=cycles(KILLS) {
        let life = random.duration(LIFE);
        sleep(life);
        server.kill();
        server.restart();
        let findings = quick_check(shop.ledger(), seen, &server.client());
        assert!(findings.is_empty(), "after kill {cycle}, at {life:?}: {findings:#?}");
        seen = shop.ledger().len();
        shop.moved_to(&server.url());
    }
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN);
    let ledger = shop.close();
    let check = LedgerCheck::of(&ledger, &server.client()).sole_writer();
    println!("after the last kill: {check}");
    check.expect_none();
    let deliveries = DeliveryCheck::of(Log::read(&server.client()).events(), "");
    println!("{deliveries}");
    deliveries.expect_none();

    // Again after a drain, which must leave as much as a kill.
    server.terminate();
    assert!(server.wait(DRAIN_BOUND).success(), "{}", server.logs());
    server.restart();
    LedgerCheck::of(&ledger, &server.client()).sole_writer().expect_none();
}

#[test]
fn an_asynchronous_command_that_was_accepted_is_carried_out_once_after_sigkill() {
    const PAUSED: &str = "DORMOUSE__LISTENERS__PAUSED";
    let mut random = Random::of_test();
    let mut server = Server::builder().environment(PAUSED, "[\"operations\"]").start();
    let client = server.client();
    let one = serde_json::json!({"change": 1, "reason": "delivery"});
    let delivered = || client.post_with("/v1/inventory/tea/update-inventory", &[("prefer", "respond-async")], &one);
    let accepted: Vec<_> = (0..ACKNOWLEDGED_BETWEEN).map(|_| delivered().unwrap()).collect();
    assert!(accepted.iter().all(|answer| answer.status == 202));
    assert_eq!(client.get("/v1/inventory/tea").unwrap().status, 404);
    server.kill();
    server.set_environment(PAUSED, "[]");
    for _ in 0..cycles(5) {
        server.restart();
        sleep(random.duration(Duration::ZERO..Duration::from_millis(100)));
        server.kill();
    }
    server.restart();
    let client = server.client();
    for answer in &accepted {
        let operation = client.get(&format!("{}?wait=30s", answer.header("location").unwrap())).unwrap();
        assert_eq!(operation.json()["status"], "succeeded", "{operation}");
    }
    assert_eq!(client.get("/v1/inventory/tea").unwrap().json()["state"]["on_hand"], ACKNOWLEDGED_BETWEEN);
}

/// Small limits, so that the load also meets passivation, snapshots and loads from every source.
fn with_little_room(server: ServerBuilder) -> ServerBuilder {
    server
        .set("passivation.max_live=12")
        .set("passivation.sweep_interval=\"20ms\"")
        .set("snapshots.strategy=\"every_n\"")
        .set("snapshots.threshold=10")
}
