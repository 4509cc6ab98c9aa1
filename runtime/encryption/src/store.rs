//! Where wrapped data keys are kept: the contract of all stores.
//!
//! A store has no subject in plain text, and no key that is not wrapped. It must not be in a backup of what the keys
//! protect: otherwise a restore would bring back what was forgotten.

mod memory;
mod postgres;
mod row;
mod sqlite;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use dormouse_kernel::Timestamp;
pub use dormouse_storage::Error;

use crate::id::{KeyId, SubjectHash};
use crate::wrapping::{Wrapped, WrappingKeyId};
pub use memory::Memory;
pub use postgres::Postgres;
pub use sqlite::Sqlite;

/// Keeps wrapped data keys durably.
///
/// A subject has at most one live key, and any number of destroyed ones. What a call has returned survives a loss of
/// power, and later calls see it, in all processes that have the store open. A call whose future is dropped may still
/// take effect. After an error, a change may or may not have been made; to repeat it is safe.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// The keys with these ids, in any order. Ids that do not exist are left out.
    ///
    /// # Errors
    /// If the store does not answer, or is damaged.
    async fn get(&self, ids: &[KeyId]) -> Result<Vec<StoredKey>, Error>;

    /// The live key of a subject. `None` if there is none.
    ///
    /// # Errors
    /// If the store does not answer, or is damaged.
    async fn find(&self, subject: SubjectHash) -> Result<Option<LiveKey>, Error>;

    /// Makes a key the live key of its subject, unless the subject has one. Returns the live key: of many processes
    /// that call this at the same time, all get the same.
    ///
    /// # Errors
    /// If the store does not answer, or is damaged.
    async fn create(&self, key: &LiveKey) -> Result<LiveKey, Error>;

    /// Destroys the live key of a subject, if there is one: its bytes are removed, its id and the time remain. Returns
    /// all destroyed keys of the subject, in the order of their times.
    ///
    /// # Errors
    /// If the store does not answer, or is damaged. If the key is destroyed, but copies of its bytes may remain in a
    /// file, that is an error, too: the call must be repeated.
    async fn destroy(&self, subject: SubjectHash, now: Timestamp) -> Result<Vec<DestroyedKey>, Error>;

    /// The live keys after `after` that another wrapping key than `current` has wrapped, in the order of their ids, at
    /// most `limit`.
    ///
    /// # Errors
    /// If the store does not answer, or is damaged.
    async fn wrapped_by_others(
        &self,
        current: &WrappingKeyId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<LiveKey>, Error>;

    /// Replaces the wrapped bytes of a live key, if they are `from`. Returns whether they were.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn rewrap(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, Error>;

    /// How many keys there are.
    ///
    /// # Errors
    /// If the store does not answer, or is damaged.
    async fn counts(&self) -> Result<KeyCounts, Error>;

    /// Waits for the calls in progress, and closes the connections. Later calls fail.
    async fn close(&self);
}

/// A data key that can be unwrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveKey {
    /// What identifies it.
    pub id: KeyId,
    /// Whose data it encrypts.
    pub subject: SubjectHash,
    /// The key.
    pub wrapped: Wrapped,
    /// When it was made, to the microsecond.
    pub created_at: Timestamp,
}

/// A data key that was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestroyedKey {
    /// What identified it.
    pub id: KeyId,
    /// When it was destroyed, to the microsecond.
    pub destroyed_at: Timestamp,
}

/// A data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredKey {
    /// It can be used.
    Live(LiveKey),
    /// It was destroyed.
    Destroyed(DestroyedKey),
}

impl StoredKey {
    /// What identifies it.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        match self {
            Self::Live(key) => key.id,
            Self::Destroyed(key) => key.id,
        }
    }
}

/// How many keys a store has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// Live keys, by the wrapping key that has wrapped them. A wrapping key that is not here is no longer needed. The
    /// root key ([`SubjectHash::ROOT`]) counts.
    pub live: BTreeMap<WrappingKeyId, u64>,
    /// Destroyed keys.
    pub destroyed: u64,
}

impl KeyCounts {
    /// All live keys.
    #[must_use]
    pub fn all_live(&self) -> u64 {
        self.live.values().sum()
    }
}
