//! A disk that is full, fails or turns read-only. Commands are refused, live aggregates can be read, and the server
//! continues by itself once the disk works again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::Duration;

use dormouse_harness::{
    Answer, Call, Client, Errno, FaultyDisk, LedgerCheck, OwnDisk, Server, ServerBuilder, Shop, eventually,
};
use serde_json::json;

/// The bound for a command while the disk fails.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(4);

const SOON: Duration = Duration::from_secs(30);

/// The file that a commit writes and syncs.
const LOG: &str = "journal.db-wal";

const ACKNOWLEDGED: usize = 50;

#[test]
fn a_full_disk_is_answered_with_507_until_there_is_room() {
    let disk = OwnDisk::Tmpfs { mebibytes: 24 };
    if disk.ability().is_switched_off() {
        return;
    }
    let server = patient().on(disk).start();
    let shop = small_shop(&server);
    shop.wait_for_acknowledgements(ACKNOWLEDGED);
    assert_eq!(deliver(&server, "live").status, 200);
    let ballast = Ballast::fill(&server);

    // A commit may still fit into the space that the log has reserved; after a few more, none does.
    let refused = eventually("commands are refused", SOON, || Some(deliver(&server, "live")).filter(is_refused));
    assert_eq!(refused.status, 507, "{refused}");
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(refused.json()["type"], "urn:dormouse:problem:journal-full");
    assert_eq!(read(&server, "live").status, 200);

    ballast.remove();
    goes_on(server, shop);
}

#[test]
fn a_disk_that_does_not_sync_is_not_believed() {
    let disk = FaultyDisk::new();
    let server = patient().on_faulty(&disk).start();
    is_bad(&server, &disk, Call::Fsync, Errno::Io);
}

#[test]
fn commands_wait_for_a_disk_that_does_not_write() {
    let disk = FaultyDisk::new();
    let server = patient().on_faulty(&disk).start();
    is_bad(&server, &disk, Call::Write, Errno::Io);
}

#[test]
fn commands_wait_for_a_disk_that_turned_read_only() {
    let disk = FaultyDisk::new();
    let server = patient().on_faulty(&disk).start();
    is_bad(&server, &disk, Call::Write, Errno::ReadOnly);
}

/// What ext4 does after an error: not even root can make it writable again under open files.
///
/// No commit is in progress when that happens. In the millisecond in which ext4 gives up its journal, a sync may
/// succeed although its data is lost (Linux 6.18: 4 of 60 runs of a loop that only writes and syncs). No program can
/// notice that.
#[test]
fn a_file_system_that_was_remounted_read_only_costs_nothing_acknowledged() {
    let disk = OwnDisk::Ext4 { mebibytes: 128 };
    if disk.ability().is_switched_off() {
        return;
    }
    let mut server = patient().on(disk).start();
    let shop = small_shop(&server);
    shop.wait_for_acknowledgements(ACKNOWLEDGED);
    let before = shop.close();
    assert_eq!(deliver(&server, "live").status, 200);
    server.turn_read_only();
    let shop = Shop::builder().name("after").clients(4).open(&server.url());
    refuses_and_reads(&server);

    server.kill_and_unmount();
    server.restart();
    LedgerCheck::of(&before, &server.client()).expect_none();
    shop.moved_to(&server.url());
    goes_on(server, shop);
}

/// The disk fails and then works again, under load and without a restart.
fn is_bad(server: &Server, disk: &FaultyDisk, call: Call, errno: Errno) {
    let shop = small_shop(server);
    shop.wait_for_acknowledgements(ACKNOWLEDGED);
    assert_eq!(deliver(server, "live").status, 200);
    disk.fail(call, LOG, errno);
    refuses_and_reads(server);
    assert!(server.logs().contains(&FaultyDisk::trace(call, LOG)), "the disk was never asked");
    disk.heal();
    shop.wait_for_acknowledgements(ACKNOWLEDGED);
    LedgerCheck::of(&shop.close(), &server.client()).expect_none();
}

fn refuses_and_reads(server: &Server) {
    // The command whose commit meets the fault waits until its outcome is known, and may run out of time: then 504 is
    // true. Later commands are refused at once.
    let refused = eventually("commands are refused", SOON, || Some(deliver(server, "late")).filter(is_refused));
    assert_eq!(refused.status, 503, "{refused}");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    let refused = deliver(server, "live");
    assert_eq!(refused.status, 503, "{refused}");
    // A read that waited for the disk would end with 504, because the disk works again only after this.
    for _ in 0..3 {
        let found = read(server, "live");
        assert_eq!(found.status, 200, "{found}");
    }
    let unready = server.client().get("/health/ready").unwrap();
    assert_eq!(unready.status, 503, "{unready}");
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer.status, 503 | 507)
}

/// Everything that was acknowledged is there, before and after.
fn goes_on(server: Server, shop: Shop) {
    shop.wait_for_acknowledgements(ACKNOWLEDGED);
    assert_eq!(deliver(&server, "live").status, 200);
    assert_eq!(server.client().get("/health/ready").unwrap().status, 200);
    LedgerCheck::of(&shop.close(), &server.client()).expect_none();
}

fn patient() -> ServerBuilder {
    Server::builder().set(format!("commands.timeout={}s", COMMAND_TIMEOUT.as_secs()))
}

fn small_shop(server: &Server) -> Shop {
    Shop::builder().clients(4).open(&server.url())
}

fn deliver(server: &Server, sku: &str) -> Answer {
    let client = Client::with_timeout(server.url(), COMMAND_TIMEOUT * 8);
    let delivery = json!({"change": 1, "reason": "delivery"});
    client.post(&format!("/v1/inventory/{sku}/update-inventory"), &delivery).unwrap()
}

fn read(server: &Server, sku: &str) -> Answer {
    server.client().get(&format!("/v1/inventory/{sku}")).unwrap()
}

/// A file that fills a server's disk.
struct Ballast(PathBuf);

impl Ballast {
    fn fill(server: &Server) -> Self {
        let path = server.own_disk().join("ballast");
        let mut file = File::create(&path).unwrap();
        loop {
            match file.write_all(&[7; 4096]) {
                Ok(()) => {}
                Err(full) if full.kind() == ErrorKind::StorageFull => return Self(path),
                Err(failure) => panic!("{}: {failure}", path.display()),
            }
        }
    }

    fn remove(self) {
        fs::remove_file(self.0).unwrap();
    }
}
