//! Nothing acknowledged is lost, nothing is applied twice: the real binary, real databases, real SIGKILL.

use std::time::Duration;

use dormouse_harness::{Postgres, Server, ServerBuilder, Shop, Verdict};

/// How often the server is killed in one test.
const KILLS: usize = 3;

/// How much must be acknowledged between two kills, so that each strikes under load.
const ACKNOWLEDGED_BETWEEN_KILLS: usize = 300;

#[test]
fn everything_acknowledged_survives_sigkill_on_sqlite() {
    survives_sigkill(Server::builder());
}

#[test]
fn everything_acknowledged_survives_sigkill_on_postgres() {
    let postgres = Postgres::start();
    survives_sigkill(Server::builder().journal(postgres.create_database()));
}

/// Small limits beside the load, so that it also meets passivation, snapshots and wake-ups from every source.
fn survives_sigkill(server: ServerBuilder) {
    let mut server = server
        .set("passivation.max_live=12")
        .set("passivation.sweep_interval=\"20ms\"")
        .set("snapshots.strategy=\"every_n\"")
        .set("snapshots.threshold=10")
        .start();
    let shop = Shop::open(&server.url());
    for _ in 0..KILLS {
        shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN_KILLS);
        server.kill();
        server.restart();
        shop.moved_to(&server.url());
    }
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN_KILLS);
    let ledger = shop.close();

    Verdict::on(&ledger, &server.client()).expect_none();

    // Once more, in good order: what a drain leaves behind is as good as what a kill does.
    server.terminate();
    assert!(server.wait(Duration::from_secs(30)).success(), "{}", server.logs());
    server.restart();
    Verdict::on(&ledger, &server.client()).expect_none();
}
