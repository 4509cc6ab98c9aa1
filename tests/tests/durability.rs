//! Nothing acknowledged is lost, nothing is applied twice: the real binary, real databases, real SIGKILL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

#[path = "durability/clients.rs"]
mod clients;
#[path = "durability/history.rs"]
mod history;
#[path = "durability/verdict.rs"]
mod verdict;

use dormouse_harness::{Postgres, Server};

use clients::Shop;
use verdict::Verdict;

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
fn survives_sigkill(server: dormouse_harness::ServerBuilder) {
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

    let verdict = Verdict::on(&ledger, &server.client());
    verdict.acknowledged_is_there_once();
    verdict.refused_is_absent_and_unknown_at_most_once();
    verdict.versions_are_dense();
    verdict.what_was_answered_first_came_first();
    verdict.state_is_the_fold_of_its_events();
    verdict.a_retry_gets_the_first_outcome(&server.client());

    // Once more, in good order: what a drain leaves behind is as good as what a kill does.
    server.terminate();
    assert!(server.wait(std::time::Duration::from_secs(30)).success(), "{}", server.logs());
    server.restart();
    let verdict = Verdict::on(&ledger, &server.client());
    verdict.acknowledged_is_there_once();
    verdict.state_is_the_fold_of_its_events();
}
