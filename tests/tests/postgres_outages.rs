//! PostgreSQL becomes unavailable, in every possible way, under the load of 64 clients. Each time: no acknowledged
//! command is lost, none happens twice, 503 means that the command did not happen, every request gets an answer, live
//! aggregates can be read, `/health/ready` reports the outage, and after the end commands succeed again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

#[path = "postgres_outages/witness.rs"]
mod witness;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use dormouse_harness::{
    Cut, Direction, Fault, Ledger, LedgerCheck, Moment, Postgres, Proxy, Server, ServerBuilder, Shop, eventually,
    failing_binary,
};

use witness::Witness;

/// The deadline of every command.
const DEADLINE: Duration = Duration::from_secs(4);

/// A request without an answer after this time has none: far beyond its deadline, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time from the end of a fault to the first successful command: far more than any pause between attempts.
const SERVED_AGAIN: Duration = Duration::from_secs(30);

/// The bound for the next statement that a fault can strike. Under load there are hundreds a second.
const STRIKE_BOUND: Duration = Duration::from_secs(60);

/// Enough to know that the load has started, or has started again.
const UNDER_LOAD: usize = 200;

/// A part of the statement that appends, and of no other statement.
const APPEND: &str = "INSERT INTO events";

/// A server under load, and a witness.
struct Stage {
    server: Server,
    shop: Shop,
    witness: Witness,
}

impl Stage {
    fn at(journal: &str) -> Self {
        Self::of(Server::builder().journal(journal))
    }

    fn of(server: ServerBuilder) -> Self {
        let server = server.set(format!("commands.timeout=\"{}s\"", DEADLINE.as_secs())).start();
        let shop = Shop::builder().patience(PATIENCE).open(&server.url());
        let witness = Witness::of(&server.url());
        shop.wait_for_acknowledgements(UNDER_LOAD);
        Self { server, shop, witness }
    }

    /// An outage that lasts until all its effects have shown.
    fn outage(&self, begin: impl FnOnce(), end: impl FnOnce()) {
        let began = Instant::now();
        begin();
        self.witness.sees_unreadiness(began);
        self.witness.sees_refusals(began);
        self.witness.sees_live_state();
        end();
        let (lasted, ended) = (began.elapsed(), Instant::now());
        println!("an outage of {lasted:.1?}");
        self.is_served_since(ended);
    }

    fn is_served_since(&self, ended: Instant) {
        let took = self.witness.is_served_again(ended, SERVED_AGAIN);
        println!("served again after {took:.1?}");
        self.witness.sees_readiness(ended);
        self.shop.wait_for_acknowledgements(UNDER_LOAD);
    }

    fn ends_well(self) {
        let ledger = self.shop.close();
        LedgerCheck::of(&ledger, &self.server.client()).expect_none();
        let mut findings = self.witness.leave(&self.server.client());
        findings.extend(unanswered(&ledger));
        assert!(findings.is_empty(), "{} findings:\n{}\n{}", findings.len(), findings.join("\n"), self.server.logs());
    }
}

/// The clients' requests that got no answer.
fn unanswered(ledger: &Ledger) -> Vec<String> {
    let entries = ledger.entries();
    let took = entries.iter().filter_map(|entry| entry.answered.map(|answered| answered - entry.invoked));
    println!("the slowest of {} requests took {:.1?}", entries.len(), took.max().unwrap());
    let unanswered = entries.iter().filter(|entry| entry.answered.is_none());
    unanswered.map(|entry| format!("never answered: {entry:?}")).collect()
}

#[test]
fn a_database_that_crashes_and_comes_back() {
    let mut postgres = Postgres::start();
    let stage = Stage::at(&postgres.create_database());
    for _ in 0..2 {
        let cluster = std::cell::RefCell::new(&mut postgres);
        stage.outage(|| cluster.borrow_mut().stop_immediate(), || cluster.borrow_mut().start_again());
    }
    stage.ends_well();
}

#[test]
fn a_connection_that_is_cut_during_a_commit() {
    let proxy = Proxy::before(&Postgres::shared().create_database());
    let stage = Stage::at(proxy.url());
    for moment in [Moment::BeforeRequest, Moment::BeforeCommit, Moment::BeforeAnswer] {
        for cut in [Cut::Fin, Cut::Reset] {
            proxy.strike(APPEND, moment, Fault::Cut(cut));
            eventually("the cut", STRIKE_BOUND, || proxy.has_struck());
            stage.is_served_since(Instant::now());
        }
    }
    for cut in [Cut::Fin, Cut::Reset] {
        proxy.cut(cut);
        stage.is_served_since(Instant::now());
    }
    for way in [Direction::Requests, Direction::Answers] {
        proxy.delay(way, Duration::from_millis(20));
        stage.shop.wait_for_acknowledgements(UNDER_LOAD);
    }
    // The check reads everything, and would do so at that pace.
    proxy.restore();
    stage.ends_well();
}

#[test]
fn a_connection_that_goes_silent_during_a_commit() {
    let proxy = Proxy::before(&Postgres::shared().create_database());
    let stage = Stage::at(proxy.url());
    for moment in [Moment::BeforeRequest, Moment::BeforeCommit, Moment::BeforeAnswer] {
        let silence = || {
            proxy.strike(APPEND, moment, Fault::Silence);
            eventually("the silence", STRIKE_BOUND, || proxy.has_struck());
        };
        stage.outage(silence, || proxy.restore());
    }
    stage.ends_well();
}

#[test]
fn a_connection_that_is_silent_for_a_moment() {
    let proxy = Proxy::before(&Postgres::shared().create_database());
    let stage = Stage::at(proxy.url());
    // The fault is over before any side has noticed it. All timeouts come after it.
    proxy.strike(APPEND, Moment::BeforeCommit, Fault::Silence);
    eventually("the silence", STRIKE_BOUND, || proxy.has_struck());
    proxy.restore();
    stage.is_served_since(Instant::now());
    stage.ends_well();
}

#[test]
fn a_database_that_refuses_connections() {
    let proxy = Proxy::before(&Postgres::shared().create_database());
    let stage = Stage::at(proxy.url());
    stage.outage(|| proxy.refuse(), || proxy.restore());
    stage.ends_well();
}

#[test]
fn a_head_row_that_another_session_locks() {
    let postgres = Postgres::shared();
    let database = postgres.create_database();
    let stage = Stage::at(&database);
    thread::scope(|scope| {
        let lock = || {
            let hold = "BEGIN; UPDATE log_head SET epoch = epoch; SELECT pg_sleep(120)";
            // It fails when its connection is ended.
            scope.spawn(|| catch_unwind(AssertUnwindSafe(|| postgres.query(&database, hold))).is_err());
        };
        let release = || {
            let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'";
            assert_eq!(postgres.query(&database, end), "1", "an operator's session is not ended by us");
        };
        stage.outage(lock, release);
    });
    stage.ends_well();
}

#[test]
fn appends_that_take_longer_than_a_statement_may() {
    let postgres = Postgres::shared();
    let database = postgres.create_database();
    // Taking over is quick, so the journal is ready again after each refusal, and commands wait for the next one. This
    // bounds the total time.
    let limits = ["journal.postgres.statement_timeout=\"500ms\"", "journal.postgres.lock_timeout=\"500ms\""];
    let server = limits.into_iter().fold(Server::builder().journal(&database), ServerBuilder::set);
    let stage = Stage::of(server);
    postgres.query(
        &database,
        "CREATE TABLE slowness (seconds int);
        CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_sleep(seconds) FROM slowness; RETURN NULL; END $$;
        CREATE TRIGGER be_slow AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION be_slow()",
    );
    let slow = || _ = postgres.query(&database, "INSERT INTO slowness VALUES (60)");
    let quick = || _ = postgres.query(&database, "TRUNCATE slowness");
    stage.outage(slow, quick);
    stage.ends_well();
}

#[test]
fn a_database_without_a_free_connection() {
    let postgres = Postgres::shared();
    let database = postgres.create_database();
    let name = database.rsplit('/').next().unwrap();
    // No limit applies to a superuser.
    postgres.query(&database, &format!("CREATE ROLE clerk LOGIN; ALTER DATABASE {name} OWNER TO clerk"));
    let stage = Stage::at(&database.replace("postgres@", "clerk@"));
    let fill = || {
        let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND usename = 'clerk'";
        postgres.query(&database, &format!("ALTER DATABASE {name} CONNECTION LIMIT 0"));
        postgres.query(&database, terminate);
    };
    stage.outage(fill, || _ = postgres.query(&database, &format!("ALTER DATABASE {name} CONNECTION LIMIT -1")));
    stage.ends_well();
}

/// Loses the answers to commits under load, one after the other, until `enough`, which is asked after each. Returns the
/// answers to clients that were wrong.
fn answers_that_get_lost(server: ServerBuilder, enough: impl Fn(&Stage, usize) -> bool) -> Vec<String> {
    let proxy = Proxy::before(&Postgres::shared().create_database());
    let stage = Stage::of(server.journal(proxy.url()));
    let mut lost = 0;
    while !enough(&stage, lost) {
        proxy.strike(APPEND, Moment::BeforeAnswer, Fault::Cut(Cut::Reset));
        eventually("the loss", STRIKE_BOUND, || proxy.has_struck());
        stage.shop.wait_for_acknowledgements(UNDER_LOAD / 4);
        lost += 1;
    }
    let ledger = stage.shop.close();
    LedgerCheck::of(&ledger, &stage.server.client()).expect_none();
    stage.witness.leave(&stage.server.client())
}

#[test]
fn lost_answers_to_commits_are_looked_up() {
    /// Each strikes a batch; most batches have a command of the witness.
    const LOST: usize = 12;

    assert_eq!(answers_that_get_lost(Server::builder(), |_, lost| lost == LOST), Vec::<String>::new());
}

/// PostgreSQL's unique indexes refuse the second commit, so nothing happens twice. But the writer then takes the
/// refusal for the outcome of the first commit.
#[test]
fn committing_again_without_asking_is_found() {
    /// The batches of a busy machine may have no command of the witness.
    const MOST_LOST: usize = 100;

    let broken =
        Server::builder().program(failing_binary()).environment("FAILPOINTS", "bug-retry-unknown-commit=return");
    let findings = answers_that_get_lost(broken, |stage, lost| {
        lost == MOST_LOST || stage.witness.was_refused_wrongly(&stage.server.client())
    });
    println!("{} findings, such as: {:?}", findings.len(), findings.first());
    assert!(findings.iter().any(|finding| finding.starts_with("503, but the command happened")), "{findings:?}");
}

#[test]
fn a_server_that_is_told_to_stop_during_an_outage_ends() {
    const DRAIN: Duration = Duration::from_secs(2);

    let proxy = Proxy::before(&Postgres::shared().create_database());
    let mut server =
        Server::builder().journal(proxy.url()).set(format!("gateway.drain_timeout=\"{}s\"", DRAIN.as_secs())).start();
    let shop = Shop::open(&server.url());
    shop.wait_for_acknowledgements(UNDER_LOAD);
    proxy.strike(APPEND, Moment::BeforeAnswer, Fault::Silence);
    eventually("the silence", STRIKE_BOUND, || proxy.has_struck());
    server.terminate();
    // The database stays silent, so the server's own bounds end it.
    server.wait(PATIENCE);

    proxy.restore();
    server.restart();
    shop.moved_to(&server.url());
    shop.wait_for_acknowledgements(UNDER_LOAD);
    LedgerCheck::of(&shop.close(), &server.client()).expect_none();
}
