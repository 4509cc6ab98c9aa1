//! What only SQLite has: a file that may be damaged, and commits that share a sync.

use std::path::Path;
use std::sync::Arc;

use dormouse_kernel::Epoch;
use dormouse_messaging::QueueStore;
use dormouse_messaging::store::{Error, JobState, Sqlite};
use sqlx::Connection;
use tokio::task::{JoinSet, yield_now};

use crate::support::{Place, connect, consumer, id, job, mailer, put};

async fn opened(directory: &Path) -> Arc<dyn QueueStore> {
    let store = Sqlite::open(directory, 2).await.unwrap();
    store.acquire(Epoch(1)).await.unwrap();
    Arc::new(store)
}

/// Makes a queue with one job and lets `change` change its file. The file is refused then, and is left as it is.
async fn assert_refused(change: impl AsyncFnOnce(&Path), reason: &str) {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(directory.path()).await;
    store.commit(&mailer(), &put([job(1, "a", JobState::Dead)])).await.unwrap();
    store.close().await;
    change(directory.path()).await;
    let file = directory.path().join("queue.db");
    let before = std::fs::read(&file).unwrap();
    for _ in 0..2 {
        let refused = Sqlite::open(directory.path(), 2).await.unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused} does not say {reason:?}");
        for part in ["queue.db", "it is left as it is", "move it away: then", "run again, with the same keys"] {
            assert!(refused.contains(part), "{refused} does not say {part:?}");
        }
        assert!(std::fs::read(&file).unwrap() == before, "the file was changed");
    }
    // The advice works.
    std::fs::rename(&file, directory.path().join("elsewhere")).unwrap();
    opened(directory.path()).await.close().await;
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_as_it_is() {
    use std::os::unix::fs::FileExt;

    let write = |directory: &Path, bytes: &[u8], at: u64| {
        let file = std::fs::File::options().write(true).open(directory.join("queue.db")).unwrap();
        file.write_all_at(bytes, at).unwrap();
        file
    };
    let damaged = "the database is damaged";
    assert_refused(async |directory| _ = write(directory, &[0xaa; 4096], 100), damaged).await;
    assert_refused(async |directory| _ = write(directory, &[0; 100], 0), damaged).await;
    assert_refused(async |directory| write(directory, &[], 0).set_len(50).unwrap(), damaged).await;
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    let text = "this is not a database, and it is long enough".repeat(100);
    let write = async |directory: &Path| std::fs::write(directory.join("queue.db"), &text).unwrap();
    assert_refused(write, "not a database").await;
    let other = async |directory: &Path| harm(directory, "PRAGMA application_id = 7").await;
    assert_refused(other, "it belongs to the application 0x7").await;
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
    let newer = async |directory: &Path| harm(directory, "PRAGMA user_version = 99").await;
    assert_refused(newer, "a newer version of Dormouse wrote it").await;
}

async fn harm(directory: &Path, sql: &'static str) {
    let mut connection = connect(directory).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_table_that_was_dropped_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(directory.path()).await;
    harm(directory.path(), "DROP TABLE job").await;
    let refused = store.commit(&mailer(), &put([job(1, "a", JobState::Dead)])).await;
    assert!(matches!(refused, Err(Error::Storage(dormouse_storage::Error::Damaged(_)))), "{refused:?}");
}

/// The transactions in the WAL: the frames that end one
/// (<https://sqlite.org/fileformat.html#the_write_ahead_log>).
fn transactions(directory: &Path) -> usize {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    const PAGE: usize = 4096;
    let wal = std::fs::read(directory.join("queue.db-wal")).unwrap();
    let salts = &wal[16..24];
    let frames = wal[HEADER..].chunks(FRAME_HEADER + PAGE).filter(|frame| &frame[8..16] == salts);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

// On one thread, so that all commits are queued after each of their tasks had a turn.
#[tokio::test]
async fn commits_that_arrive_during_a_transaction_share_the_next_one() {
    const CONSUMERS: usize = 50;
    let directory = tempfile::tempdir().unwrap();
    let store = opened(directory.path()).await;
    let before = transactions(directory.path());
    let mut lock = connect(directory.path()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
    let mut committing = JoinSet::new();
    for number in 0..CONSUMERS {
        let store = Arc::clone(&store);
        committing.spawn(async move {
            let name = consumer(&format!("handler/h-{number}"));
            store.commit(&name, &put([job(1, "a", JobState::Dead)])).await.unwrap();
        });
    }
    for _ in 0..3 {
        yield_now().await;
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    committing.join_all().await;
    assert_eq!(store.job_counts().await.unwrap().len(), CONSUMERS);
    // The first transaction has what was there when it began, the second the rest.
    let transactions = transactions(directory.path()) - before;
    assert!((1..=2).contains(&transactions), "{transactions} transactions");
}

#[tokio::test]
async fn changes_that_cannot_be_written_fail_no_other_consumer() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(directory.path()).await;
    let trigger = "CREATE TRIGGER forbid BEFORE INSERT ON job WHEN NEW.consumer = 'handler/bad'
        BEGIN SELECT RAISE(ABORT, 'a test wants it'); END";
    harm(directory.path(), trigger).await;
    let mut lock = connect(directory.path()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
    let mut committing = JoinSet::new();
    for name in ["handler/a", "handler/b", "handler/bad", "handler/c", "handler/bad", "handler/d"] {
        let store = Arc::clone(&store);
        committing.spawn(async move {
            let committed = store.commit(&consumer(name), &put([job(1, "a", JobState::Dead)])).await;
            assert_eq!(committed.is_ok(), name != "handler/bad", "{name}: {committed:?}");
        });
    }
    for _ in 0..3 {
        yield_now().await;
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    committing.join_all().await;
    assert_eq!(store.job_counts().await.unwrap().len(), 4);
    assert_eq!(store.progress(&consumer("handler/bad")).await.unwrap(), None);
}

#[tokio::test]
async fn a_commit_whose_caller_is_gone_may_still_happen_and_disturbs_none() {
    let Place::Sqlite(directory) = Place::sqlite() else { unreachable!("it was made so") };
    let store = opened(directory.path()).await;
    for position in 1..=20 {
        let mut committing = JoinSet::new();
        let dropped = Arc::clone(&store);
        committing.spawn(async move { dropped.commit(&mailer(), &put([job(position, "a", JobState::Dead)])).await });
        yield_now().await;
        committing.abort_all();
        store.commit(&mailer(), &put([job(100 + position, "a", JobState::Dead)])).await.unwrap();
        assert!(store.job(&mailer(), id(100 + position)).await.unwrap().is_some());
    }
    store.close().await;
}
