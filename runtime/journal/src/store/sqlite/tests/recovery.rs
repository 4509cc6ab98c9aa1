//! The files after a crash, and after changes from outside.

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};

use super::*;
use crate::error::StoreError;
use crate::page::PageLimit;

/// A journal that was closed properly.
async fn closed(aggregates: usize, times: usize) -> Place {
    let place = Place::new();
    let mut owner = place.owner().await;
    owner.append_to_each(aggregates, times).await;
    owner.store.close().await;
    place
}

async fn assert_reads_and_appends(place: &Place, aggregates: usize, times: usize) {
    let mut owner = place.owner().await;
    assert_eq!(owner.head, Position((aggregates * times) as u64));
    assert_histories(&owner.store, aggregates, times).await;
    owner.append_to_each(aggregates, 1).await;
    assert_histories(&owner.store, aggregates, times + 1).await;
    owner.store.close().await;
    let indexed = place.ask("index.db", "SELECT count(*) FROM event_index").await;
    assert_eq!(indexed, (aggregates * (times + 1)) as i64);
}

#[tokio::test]
async fn after_a_crash_the_tail_is_read_from_the_log() {
    let place = Place::new();
    let mut owner = place.owner().await;
    owner.append_to_each(50, 4).await;
    owner.crash();
    assert_eq!(place.ask("index.db", "SELECT position FROM watermark").await, 0);
    assert_reads_and_appends(&place, 50, 4).await;
}

#[tokio::test]
async fn a_tail_too_long_for_memory_is_indexed_at_once() {
    let mut place = Place::new();
    let mut owner = place.owner().await;
    owner.append_to_each(500, 4).await;
    owner.crash();
    place.config.index_tail_events = 100.try_into().unwrap();
    let owner = place.owner().await;
    assert_eq!(owner.store.tail.start().0, 2000);
    assert_histories(&owner.store, 500, 4).await;
    owner.crash();
    assert_reads_and_appends(&place, 500, 4).await;
}

#[tokio::test]
async fn a_tail_of_few_but_large_events_is_indexed_at_once() {
    let mut place = Place::new();
    let mut owner = place.owner().await;
    owner.append_to_each(500, 4).await;
    owner.crash();
    place.config.index_tail.0 = 100_000;
    assert_reads_and_appends(&place, 500, 4).await;
}

#[tokio::test]
async fn a_lost_index_is_made_again() {
    let place = closed(100, 3).await;
    std::fs::remove_file(place.path().join("index.db")).unwrap();
    assert_reads_and_appends(&place, 100, 3).await;
}

#[tokio::test]
async fn a_truncated_index_is_made_again() {
    for length in [0, 10, 4096, 10_000] {
        let place = closed(300, 3).await;
        let file = std::fs::File::options().write(true).open(place.path().join("index.db")).unwrap();
        assert!(file.metadata().unwrap().len() > 20_000);
        file.set_len(length).unwrap();
        assert_reads_and_appends(&place, 300, 3).await;
    }
}

#[tokio::test]
async fn an_index_of_zeros_as_a_loss_of_power_leaves_it_is_made_again() {
    let place = closed(100, 3).await;
    std::fs::write(place.path().join("index.db"), [0; 8192]).unwrap();
    assert_reads_and_appends(&place, 100, 3).await;
}

#[tokio::test]
async fn a_damaged_index_is_kept_under_another_name_when_it_is_made_again() {
    use std::os::unix::fs::FileExt;

    let place = closed(100, 3).await;
    let index = place.path().join("index.db");
    let file = std::fs::File::options().write(true).open(&index).unwrap();
    // Its mark is in the header, which is whole.
    file.write_all_at(&vec![0xaa; 8_000], 100).unwrap();
    let damaged = std::fs::read(&index).unwrap();
    assert_reads_and_appends(&place, 100, 3).await;
    assert_eq!(std::fs::read(place.path().join("index.db.damaged")).unwrap(), damaged);
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_left_as_it_is() {
    for name in ["index.db", "snapshots.db"] {
        for theirs in ["a text", "an application's database", "an application's, left by a crash", "a newer version's"]
        {
            let place = closed(10, 3).await;
            let file = place.path().join(name);
            if theirs == "a newer version's" {
                place.tamper(name, "PRAGMA user_version = 99").await;
            } else {
                std::fs::remove_file(&file).unwrap();
                for suffix in ["-wal", "-shm"] {
                    _ = std::fs::remove_file(place.path().join(format!("{name}{suffix}")));
                }
                match theirs {
                    "a text" => {
                        std::fs::write(&file, "notes of another program, long enough for a header. ".repeat(10))
                            .unwrap()
                    }
                    "an application's database" => {
                        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
                        let mut connection = options.connect().await.unwrap();
                        sqlx::raw_sql("CREATE TABLE theirs (id INTEGER)").execute(&mut connection).await.unwrap();
                        connection.close().await.unwrap();
                    }
                    _ => {
                        let elsewhere = tempfile::tempdir().unwrap();
                        let there = elsewhere.path().join(name);
                        let options = SqliteConnectOptions::new().filename(&there).create_if_missing(true);
                        let mut connection = options.journal_mode(SqliteJournalMode::Wal).connect().await.unwrap();
                        sqlx::raw_sql("CREATE TABLE theirs (id INTEGER)").execute(&mut connection).await.unwrap();
                        for suffix in ["", "-wal"] {
                            let copy = format!("{name}{suffix}");
                            std::fs::copy(elsewhere.path().join(&copy), place.path().join(&copy)).unwrap();
                        }
                    }
                }
            }
            let wal = place.path().join(format!("{name}-wal"));
            let before = (std::fs::read(&file).unwrap(), std::fs::read(&wal).ok().filter(|wal| !wal.is_empty()));
            let refused = place.open(Access::Own).await.unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains("left as it is"), "{theirs}: {refused}");
            let after = (std::fs::read(&file).unwrap(), std::fs::read(&wal).ok().filter(|wal| !wal.is_empty()));
            assert!(after == before, "{theirs} was changed");
        }
    }
}

#[tokio::test]
async fn a_log_that_lacks_indexed_events_is_refused_until_an_operator_accepts_the_loss() {
    let place = closed(100, 3).await;
    // As after a restore of the log alone.
    place.tamper("journal.db", "DELETE FROM events WHERE position > 200").await;
    let refused = place.open(Access::Own).await.unwrap_err().to_string();
    assert!(refused.contains("it knows of events up to position 300, and the log ends at 200"), "{refused}");
    std::fs::remove_file(place.path().join("index.db")).unwrap();
    assert_reads_and_appends(&place, 100, 2).await;
}

#[tokio::test]
async fn an_index_of_another_log_is_made_again() {
    let other = Place::new();
    let mut owner = other.owner().await;
    owner.append(&[(7, 40)]).await.unwrap();
    owner.store.close().await;
    let place = closed(100, 3).await;
    std::fs::copy(other.path().join("index.db"), place.path().join("index.db")).unwrap();
    assert_reads_and_appends(&place, 100, 3).await;
}

/// Overwrites all but the first few pages, so that opening the file succeeds.
fn damage_inside(place: &Place) {
    use std::os::unix::fs::FileExt;

    let file = std::fs::File::options().write(true).open(place.path().join("index.db")).unwrap();
    let length = file.metadata().unwrap().len();
    for page in 5..length / 4096 {
        file.write_all_at(&[0xaa; 4096], page * 4096).unwrap();
    }
}

#[tokio::test]
async fn an_index_that_turns_out_damaged_at_a_read_is_made_again_while_the_journal_runs() {
    let place = closed(500, 4).await;
    damage_inside(&place);
    let owner = place.owner().await;
    let all: Vec<AggregateRef> = (0..500).map(aggregate).collect();
    let damaged = owner.store.versions(&all).await;
    assert!(matches!(damaged, Err(StoreError::Unavailable(_))), "{damaged:?}");
    eventually(async || owner.store.versions(&all).await.is_ok()).await;
    assert_histories(&owner.store, 500, 4).await;
}

#[tokio::test]
async fn an_index_that_turns_out_damaged_at_reads_made_together_is_made_again_while_the_journal_runs() {
    let place = closed(500, 4).await;
    damage_inside(&place);
    let store = Arc::new(place.owner().await.store);
    let mut failures = 0;
    eventually(async || {
        // Few reads, from all over the index: each failure costs a connection.
        let reads: Vec<_> = (0..500)
            .step_by(50)
            .map(|number| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    store.read_aggregate(&aggregate(number), Version::ZERO, PageLimit::events(512)).await
                })
            })
            .collect();
        let mut all_read = true;
        for read in reads {
            // An error, or all four events: never a part of them.
            match read.await.unwrap() {
                Ok(events) => assert_eq!(events.len(), 4),
                Err(_) => all_read = false,
            }
        }
        failures += usize::from(!all_read);
        all_read
    })
    .await;
    assert!(failures > 0);
    assert_histories(&store, 500, 4).await;
}

#[tokio::test]
async fn an_index_that_turns_out_damaged_at_a_write_is_made_again_while_the_journal_runs() {
    let mut place = closed(500, 4).await;
    damage_inside(&place);
    place.config.index_tail_events = 400.try_into().unwrap();
    let mut owner = place.owner().await;
    // A read of the versions would find the damage, so the test sets them.
    let batch: Vec<Placed> = (0..500)
        .map(|number| Placed {
            first: owner.head.plus(number as u64 + 1),
            append: Arc::new(append(number, Version(4), 1)),
        })
        .collect();
    owner.store.commit(owner.epoch, &batch).await.unwrap();
    owner.head = owner.head.plus(500);
    let all: Vec<AggregateRef> = (0..500).map(aggregate).collect();
    eventually(async || owner.store.tail.start() == owner.head).await;
    eventually(async || owner.store.versions(&all).await.is_ok()).await;
    assert_histories(&owner.store, 500, 5).await;
}
