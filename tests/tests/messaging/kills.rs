//! Nothing that aggregates send, wait for or do outside is lost or done twice, whenever the process is killed.

use std::time::Duration;

use dormouse_harness::{DeliveryCheck, LedgerCheck, Postgres, Server, ServerBuilder, cycles, wait_for_messages};

use crate::hunt::{TROUBLE, effects, hunt, troubled};

/// The number of kills in one test.
const KILLS: usize = 6;

/// The bound for a drain.
const DRAIN_BOUND: Duration = Duration::from_secs(30);

#[test]
fn messages_timers_and_handlers_survive_sigkill_on_sqlite() {
    survive_sigkill(Server::builder());
}

#[test]
fn messages_timers_and_handlers_survive_sigkill_on_postgres() {
    survive_sigkill(Server::builder().journal(Postgres::shared().create_database()));
}

fn survive_sigkill(server: ServerBuilder) {
    let mut server = troubled(server, TROUBLE).start();
    let (ledger, check) = hunt(&mut server, cycles(KILLS));
    check.expect_none();
    LedgerCheck::of(&ledger, &server.client()).expect_none();

    // The checks pass although a job that had its effect before a kill has yet to be repeated.
    wait_for_messages(&server.client());
    let settled = DeliveryCheck::settled(&server.client(), &effects(&server));
    // Progress is stored when the server stops, so nothing is done again.
    server.terminate();
    assert!(server.wait(DRAIN_BOUND).success(), "{}", server.logs());
    server.restart();
    let again = DeliveryCheck::settled(&server.client(), &effects(&server));
    again.expect_none();
    assert_eq!(again.effects(), settled.effects());
}
