//! Keys that wait to be created. Those that wait for the writing connection at the same time are created in one
//! transaction: a commit waits for the disk, and new persons come in crowds.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::{Connection, SqliteConnection, query};
use tokio::sync::oneshot;

use super::{Error, LiveKey, live_row, microseconds, row};

/// The keys of one transaction. Others wait for the next one, so that it does not become long.
const KEYS_MAX: usize = 256;

/// Keys that wait to be created.
#[derive(Debug, Default)]
pub(super) struct Creations(Mutex<Vec<Creation>>);

#[derive(Debug)]
pub(super) struct Creation {
    key: LiveKey,
    /// Dropped without a result if the transaction failed.
    created: oneshot::Sender<Result<LiveKey, Error>>,
}

impl Creations {
    pub(super) fn add(&self, key: &LiveKey) -> oneshot::Receiver<Result<LiveKey, Error>> {
        let (created, result) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.len() >= KEYS_MAX {
            // While no connection can be opened, calls come and go.
            waiting.retain(Creation::is_wanted);
        }
        waiting.push(Creation { key: key.clone(), created });
        result
    }

    /// Takes what waits, the oldest first.
    pub(super) fn take(&self) -> Vec<Creation> {
        let mut waiting = self.waiting();
        waiting.retain(Creation::is_wanted);
        let count = waiting.len().min(KEYS_MAX);
        let rest = waiting.split_off(count);
        mem::replace(&mut waiting, rest)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Creation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Creation {
    /// Whether somebody still waits for the key.
    fn is_wanted(&self) -> bool {
        !self.created.is_closed()
    }
}

/// Creates keys in one transaction, and then tells those who wait for them.
pub(super) async fn create(connection: &mut SqliteConnection, creations: Vec<Creation>) -> Result<(), sqlx::Error> {
    if creations.is_empty() {
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut rows = Vec::with_capacity(creations.len());
    for Creation { key: LiveKey { id, subject, wrapped, created_at }, .. } in &creations {
        let insert = query(
            "INSERT INTO data_key (id, subject, wrapping_key, wrapped, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
        );
        let insert = insert.bind(&id.as_bytes()[..]).bind(&subject.as_bytes()[..]).bind(wrapped.by.as_str());
        insert.bind(&wrapped.bytes[..]).bind(microseconds(*created_at)).execute(&mut *transaction).await?;
        rows.push(live_row(&mut transaction, *subject).await?);
    }
    transaction.commit().await?;
    for (Creation { created, .. }, found) in creations.into_iter().zip(rows) {
        let taken = || Error::Unavailable("a destroyed key has this id: make another one".to_owned());
        let result = found.ok_or_else(taken).and_then(row::live);
        // Who is gone does not need it.
        let _gone = created.send(result);
    }
    Ok(())
}
