//! An owner is stopped, another process takes the journal over, and the owner continues: it appends nothing, reports
//! that, and ends.

use std::time::{Duration, Instant};

use dormouse_harness::{
    Fault, LedgerCheck, Moment, Postgres, Proxy, Server, ServerBuilder, Shop, eventually, failing_binary,
};

/// Enough to know that the load has started.
const UNDER_LOAD: usize = 200;

/// The bound for a zombie to notice its state and end.
const END: Duration = Duration::from_secs(60);

/// A client that waits for a stopped server hangs up after this.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long clients try to get an answer: longer than a zombie may take to end, and its sessions after it.
const LONGEST_OUTAGE: Duration = Duration::from_secs(180);

/// A part of the statement that appends, and of no other statement.
const APPEND: &str = "INSERT INTO events";

/// The processes of PostgreSQL that serve this database.
const SESSIONS: &str = "SELECT string_agg(pid::text, ',') FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

const SAYS_SO: &str = "another writer has taken over the journal, nothing more is appended here";

#[test]
fn an_owner_that_was_stopped_under_load_appends_nothing_when_it_goes_on() {
    let database = Postgres::shared().create_database();
    let mut owner = Server::builder().journal(&database).start();
    let shop = Shop::builder().patience(PATIENCE).longest_outage(LONGEST_OUTAGE).open(&owner.url());
    shop.wait_for_acknowledgements(UNDER_LOAD);
    owner.suspend();
    let successor = Server::builder().journal(&database).start();
    shop.moved_to(&successor.url());
    shop.wait_for_acknowledgements(UNDER_LOAD);

    // Its clients have hung up, but their requests still wait in its sockets.
    owner.resume();
    assert_eq!(how_it_ended(&mut owner, || false), Vec::<String>::new());
    shop.wait_for_acknowledgements(UNDER_LOAD);
    LedgerCheck::of(&shop.close(), &successor.client()).expect_none();
}

#[test]
fn an_append_that_arrives_after_the_takeover_is_not_made() {
    let Overtaken { findings, shop, successor } = overtaken(Server::builder(), Moment::BeforeRequest);
    assert_eq!(findings, Vec::<String>::new());
    goes_on(shop, &successor);
}

#[test]
fn an_append_that_was_not_committed_before_the_takeover_is_not_made() {
    let Overtaken { findings, shop, successor } = overtaken(Server::builder(), Moment::BeforeCommit);
    assert_eq!(findings, Vec::<String>::new());
    assert!(successor.logs().contains("ended the session of a former owner"), "{}", successor.logs());
    goes_on(shop, &successor);
}

#[test]
fn an_append_that_was_committed_before_the_takeover_is_acknowledged_or_unknown() {
    let Overtaken { findings, shop, successor } = overtaken(Server::builder(), Moment::BeforeAnswer);
    assert_eq!(findings, Vec::<String>::new());
    goes_on(shop, &successor);
}

#[test]
fn an_owner_without_a_fence_is_found() {
    let broken = Server::builder().program(failing_binary()).environment("FAILPOINTS", "bug-no-fence=return");
    let Overtaken { findings, .. } = overtaken(broken, Moment::BeforeRequest);
    println!("{findings:?}");
    assert!(findings.iter().any(|finding| finding.contains("the zombie appended")), "{findings:?}");
}

struct Overtaken {
    findings: Vec<String>,
    shop: Shop,
    successor: Server,
}

/// Stops an owner with an append at that moment, lets a successor take over, and continues the owner.
fn overtaken(owner: ServerBuilder, moment: Moment) -> Overtaken {
    let postgres = Postgres::shared();
    let database = postgres.create_database();
    let head = || postgres.query(&database, "SELECT position FROM log_head");
    let proxy = Proxy::before(&database);
    let mut owner = owner.journal(proxy.url()).start();
    let shop = Shop::builder().clients(16).patience(PATIENCE).longest_outage(LONGEST_OUTAGE).open(&owner.url());
    shop.wait_for_acknowledgements(UNDER_LOAD);
    proxy.strike(APPEND, moment, Fault::Hold);
    eventually("an append is on its way", Duration::from_secs(60), || proxy.has_struck());
    owner.suspend();

    let sessions = postgres.query(&database, SESSIONS);

    // It starts, whatever locks its predecessor holds. It appends nothing by itself yet: messages would move the end of
    // the log too.
    let successor = Server::builder().journal(&database).set(r#"listeners.paused=["messages"]"#).start();
    let head_before = head();

    owner.resume();
    proxy.restore();
    let mut findings = how_it_ended(&mut owner, || head() != head_before);
    if !owner.is_running() {
        // PostgreSQL commits what it has received, also when nobody waits for the answer any more.
        eventually("the sessions of the zombie have ended", END, || {
            let left = format!("SELECT count(*) FROM pg_stat_activity WHERE pid IN ({sessions})");
            postgres.query(&database, &left) == "0"
        });
    }
    if head() != head_before {
        findings.push(format!("the zombie appended: the log ended at {head_before}, and now at {}", head()));
    }
    Overtaken { findings, shop, successor }
}

/// Checks how a zombie ended. A zombie that has appended may never end, and is not waited for.
fn how_it_ended(zombie: &mut Server, has_appended: impl Fn() -> bool) -> Vec<String> {
    let deadline = Instant::now() + END;
    while zombie.is_running() && !has_appended() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    if zombie.is_running() {
        return vec!["the zombie goes on".to_owned()];
    }
    let mut findings = Vec::new();
    if zombie.wait(Duration::ZERO).success() {
        findings.push("the zombie ended as if all were well".to_owned());
    }
    if !zombie.logs().contains(SAYS_SO) {
        findings.push(format!("the zombie does not say why it ended: {}", zombie.logs()));
    }
    findings
}

/// Clients find everything at the successor, including commands that the zombie acknowledged after the takeover: it may
/// acknowledge only events that were durable before.
fn goes_on(shop: Shop, successor: &Server) {
    let (json, changes) = ([("content-type", "application/json")], br#"{"listeners":{"paused":[]}}"#);
    let resumed =
        successor.client().request("PATCH", "/admin/config", &json, Some(changes)).expect("the successor answers");
    assert_eq!(resumed.status, 200, "{resumed}");
    shop.moved_to(&successor.url());
    shop.wait_for_acknowledgements(UNDER_LOAD);
    LedgerCheck::of(&shop.close(), &successor.client()).expect_none();
}
