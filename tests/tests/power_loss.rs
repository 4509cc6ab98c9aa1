//! The power is cut under load, and no acknowledged command is missing afterwards.
//!
//! The journal is on an ext4 image. To cut the power, the test stops the server and copies the image: written data that
//! was not synced is in the kernel's cache, and not in the copy. The copy is mounted (ext4 replays its own journal),
//! and a new server opens it and goes on.

use std::time::Duration;

use dormouse_harness::{
    Call, Errno, FaultyDisk, LedgerCheck, OwnDisk, Promise, Server, Shop, eventually, failing_binary,
};

/// Large enough for the log of all cycles several times.
const DISK: OwnDisk = OwnDisk::Ext4 { mebibytes: 256 };

const POWER_CUTS: usize = 10;

/// The number of acknowledgements between two cuts, so that each strikes under load.
const ACKNOWLEDGED_BETWEEN_CUTS: usize = 100;

const SOON: Duration = Duration::from_secs(20);

/// The file that a commit syncs.
const LOG: &str = "journal.db-wal";

#[test]
fn everything_acknowledged_survives_a_loss_of_power() {
    if DISK.ability().is_switched_off() {
        return;
    }
    // Small limits, so that snapshots, passivation and the index are at work too.
    let mut server = Server::builder()
        .on(DISK)
        .set("passivation.max_live=12")
        .set("passivation.sweep_interval=\"20ms\"")
        .set("snapshots.strategy=\"every_n\"")
        .set("snapshots.threshold=10")
        .start();
    after_power_cuts(&mut server, POWER_CUTS).expect_none();
}

/// The test above proves nothing unless it fails when the log is not synced at each commit.
#[test]
fn a_log_that_is_not_synced_is_found_by_a_loss_of_power() {
    if DISK.ability().is_switched_off() {
        return;
    }
    let mut server = Server::builder()
        .on(DISK)
        .program(failing_binary())
        .environment("FAILPOINTS", "bug-synchronous-normal=return")
        .start();
    let shop = small_shop(&server);
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN_CUTS);
    server.lose_power();
    let restarted = server.try_restart();
    let ledger = shop.close();
    if let Err(refused) = restarted {
        // The queues are synced, and know of events that the log has lost.
        assert!(refused.logs().contains("the queues belong to another history than the journal"), "{refused}");
        return;
    }
    let findings = LedgerCheck::of(&ledger, &server.client()).findings();
    let lost = findings.iter().filter(|finding| finding.broken == Promise::AcknowledgedIsThere).count();
    assert!(lost > 0, "all was synced: {findings:?}");
}

/// Written data that was not synced looks like synced data, until the power is cut.
#[test]
fn commands_that_could_not_be_synced_are_not_acknowledged() {
    if DISK.ability().is_switched_off() {
        return;
    }
    let disk = FaultyDisk::new();
    let mut server = Server::builder().on(DISK).on_faulty(&disk).set("commands.timeout=4s").start();
    let shop = small_shop(&server);
    for power_goes_before_it_heals in [true, false] {
        shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN_CUTS);
        disk.fail(Call::Fsync, LOG, Errno::Io);
        eventually("the journal is not available", SOON, || {
            server.client().get("/health/ready").is_ok_and(|answer| answer.status == 503)
        });
        if power_goes_before_it_heals {
            server.lose_power();
            disk.heal();
        } else {
            disk.heal();
            shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN_CUTS);
            server.lose_power();
        }
        server.restart();
        shop.moved_to(&server.url());
    }
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN_CUTS);
    LedgerCheck::of(&shop.close(), &server.client()).expect_none();
}

fn after_power_cuts(server: &mut Server, cuts: usize) -> LedgerCheck {
    let shop = small_shop(server);
    for _ in 0..cuts {
        shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN_CUTS);
        server.lose_power();
        server.restart();
        shop.moved_to(&server.url());
    }
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BETWEEN_CUTS);
    LedgerCheck::of(&shop.close(), &server.client())
}

fn small_shop(server: &Server) -> Shop {
    Shop::builder().clients(16).open(&server.url())
}
