//! Taking the log over.

use std::sync::{Mutex, PoisonError};

use dormouse_kernel::{Epoch, Position};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::failure::Failure;
use super::row::{signed, unsigned};
use crate::store::Ownership;

/// This update waits for the lock on the head row, which an append holds until its transaction has ended. So once it
/// is answered, an append of an earlier epoch, be it under way on a backend that nobody listens to any more, has either
/// happened, and then the position includes it, or it finds another epoch when its turn comes, and never will.
const ACQUIRE: &str = "
    UPDATE log_head SET epoch = epoch + 1, acquisition = $1
    WHERE $2::bigint IS NULL OR epoch = $2 OR acquisition = ANY($3::text[])
    RETURNING epoch, position";

/// Acquisitions of ours that were never answered. One of them may have made the epoch in force: whoever asks again for
/// the epoch before it must not take itself for a stranger.
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
        let update = sqlx::query(ACQUIRE).bind(&this).bind(previous.map(|epoch| signed(epoch.0))).bind(&before);
        self.change(|unanswered| unanswered.push(this.clone()));
        let row = update.fetch_optional(connection).await?;
        self.change(Vec::clear);
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Ownership {
            epoch: Epoch(unsigned(row.try_get("epoch")?)?),
            head: Position(unsigned(row.try_get("position")?)?),
        }))
    }

    fn unanswered(&self) -> Vec<String> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        change(&mut self.unanswered.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
