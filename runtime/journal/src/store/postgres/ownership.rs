//! Taking the log over.

use std::sync::{Mutex, PoisonError};

use dormouse_kernel::{Epoch, Position};
use dormouse_storage::postgres::Failure;
use dormouse_storage::{from_sql, to_sql};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::purpose::WRITE;
use crate::store::Ownership;

/// This update waits for the lock on the head row, which an append holds until its transaction has ended. So once the
/// update has returned, an append of an earlier epoch, even on a backend that has lost its client, has either happened
/// or never will. If it has happened, the position includes it. Otherwise it finds another epoch when it gets the lock.
const ACQUIRE: &str = "
    UPDATE log_head SET epoch = epoch + 1, acquisition = $1
    WHERE $2::bigint IS NULL OR epoch = $2 OR acquisition = ANY($3::text[])
    RETURNING epoch, position";

/// An owner that stopped between an append and its commit, or lost its connection there, holds the lock of the head
/// row. PostgreSQL has no limit for that: the server expects the rest of the request. So an owner that may take over
/// ends the sessions of owners that hold the lock and wait for their client. Their appends are rolled back.
///
/// Sessions whose statement is running are not ended: the takeover waits for them.
const END_HOLDERS: &str = "
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'relation' AND relation = 'log_head'::regclass AND mode = 'RowExclusiveLock' AND granted
        AND datname = current_database() AND pid <> pg_backend_pid() AND application_name = $1
        AND wait_event = 'ClientRead'
        AND EXISTS (SELECT FROM log_head WHERE $2::bigint IS NULL OR epoch = $2 OR acquisition = ANY($3::text[]))";

/// Acquisitions of this store whose reply never arrived. One of them may have set the epoch that is in force. The next
/// acquisition names the epoch before that one, and must recognize the epoch in force as its own.
#[derive(Debug, Default)]
pub(super) struct Acquisitions {
    unanswered: Mutex<Vec<String>>,
}

impl Acquisitions {
    /// `None` if `previous` is no longer in force.
    pub(super) async fn acquire(
        &self,
        previous: Option<Epoch>,
        connection: &mut PgConnection,
    ) -> Result<Option<Ownership>, Failure> {
        let this = Uuid::new_v4().to_string();
        let before = self.unanswered();
        let update = sqlx::query(ACQUIRE).bind(&this).bind(previous.map(|epoch| to_sql(epoch.0))).bind(&before);
        self.change(|unanswered| unanswered.push(this.clone()));
        let row = match update.fetch_optional(connection).await.map_err(Failure::from) {
            Ok(row) => row,
            Err(failure) => {
                if !matches!(failure, Failure::Lost(_)) {
                    self.change(|unanswered| unanswered.retain(|one| *one != this));
                }
                return Err(failure);
            }
        };
        self.change(Vec::clear);
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Ownership {
            epoch: Epoch(from_sql(row.try_get("epoch")?, "epoch")?),
            head: Position(from_sql(row.try_get("position")?, "position")?),
        }))
    }

    /// Ends the sessions that hold the lock of the head row, if `previous` may take over. Returns whether there were
    /// any.
    pub(super) async fn end_holders(
        &self,
        previous: Option<Epoch>,
        connection: &mut PgConnection,
    ) -> Result<bool, sqlx::Error> {
        let end = sqlx::query_scalar(END_HOLDERS)
            .bind(WRITE.name)
            .bind(previous.map(|epoch| to_sql(epoch.0)))
            .bind(self.unanswered());
        let ended: i64 = end.fetch_one(connection).await?;
        Ok(ended > 0)
    }

    fn unanswered(&self) -> Vec<String> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        change(&mut self.unanswered.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
