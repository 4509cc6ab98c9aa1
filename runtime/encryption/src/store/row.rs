//! Rows of the databases, and what they mean. What no store writes is damage.

use dormouse_kernel::Timestamp;
use dormouse_storage::Error;

use super::{DestroyedKey, KeyCounts, LiveKey, StoredKey};
use crate::id::{KeyId, SubjectHash};
use crate::wrapping::{Wrapped, WrappingKeyId};

/// The columns of [`KeyColumns`].
pub(super) const COLUMNS: &str = "id, subject, wrapping_key, wrapped, created_at, destroyed_at";

pub(super) type KeyColumns = (Vec<u8>, Vec<u8>, Option<String>, Option<Vec<u8>>, i64, Option<i64>);

pub(super) fn stored((id, subject, by, bytes, created_at, destroyed_at): KeyColumns) -> Result<StoredKey, Error> {
    let id = key_id(&id)?;
    let subject = SubjectHash::from_bytes(&subject).ok_or_else(|| damaged("subject", "a hash of another length"))?;
    let created_at = time(created_at, "created_at")?;
    match (by, bytes, destroyed_at) {
        (Some(by), Some(bytes), None) => {
            let wrapped = Wrapped { by: wrapping_key(by)?, bytes };
            Ok(StoredKey::Live(LiveKey { id, subject, wrapped, created_at }))
        }
        (None, None, Some(at)) => {
            Ok(StoredKey::Destroyed(DestroyedKey { id, destroyed_at: time(at, "destroyed_at")? }))
        }
        _ => Err(damaged("destroyed_at", "a time that does not fit the key")),
    }
}

pub(super) fn live(row: KeyColumns) -> Result<LiveKey, Error> {
    match stored(row)? {
        StoredKey::Live(key) => Ok(key),
        StoredKey::Destroyed(_) => Err(damaged("wrapped", "no key, where one was expected")),
    }
}

/// The destroyed ones among the keys of a subject, in the order of their times.
pub(super) fn destroyed(rows: Vec<KeyColumns>) -> Result<Vec<DestroyedKey>, Error> {
    let stored = rows.into_iter().map(stored).collect::<Result<Vec<_>, Error>>()?;
    let mut destroyed: Vec<DestroyedKey> = stored
        .into_iter()
        .filter_map(|key| match key {
            StoredKey::Destroyed(key) => Some(key),
            // Another process has made it meanwhile.
            StoredKey::Live(_) => None,
        })
        .collect();
    destroyed.sort_by_key(|key| (key.destroyed_at, key.id));
    Ok(destroyed)
}

/// Rows of a wrapping key, and how many keys it has wrapped. Without one, they are destroyed.
pub(super) fn counts(rows: Vec<(Option<String>, i64)>) -> Result<KeyCounts, Error> {
    let mut counts = KeyCounts::default();
    for (by, count) in rows {
        let count = dormouse_storage::from_sql(count, "count")?;
        match by {
            Some(by) => _ = counts.live.insert(wrapping_key(by)?, count),
            None => counts.destroyed = count,
        }
    }
    Ok(counts)
}

pub(super) fn microseconds(time: Timestamp) -> i64 {
    time.as_microsecond()
}

fn key_id(bytes: &[u8]) -> Result<KeyId, Error> {
    KeyId::from_bytes(bytes).ok_or_else(|| damaged("id", "an id of another length"))
}

fn wrapping_key(text: String) -> Result<WrappingKeyId, Error> {
    WrappingKeyId::new(text).map_err(|invalid| damaged("wrapping_key", &invalid.to_string()))
}

fn time(microseconds: i64, column: &str) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(microseconds).map_err(|_| damaged(column, &microseconds.to_string()))
}

fn damaged(column: &str, what: &str) -> Error {
    Error::Damaged(format!("the column data_key.{column} contains {what}"))
}
