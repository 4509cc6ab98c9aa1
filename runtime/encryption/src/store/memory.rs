//! Keys in memory, for tests and for nodes without a disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse_kernel::Timestamp;

use super::{DestroyedKey, Error, KeyCounts, KeyStore, LiveKey, StoredKey};
use crate::id::{KeyId, SubjectHash};
use crate::wrapping::{Wrapped, WrappingKeyId};

/// Keeps keys in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Keys>>);

#[derive(Debug, Default)]
struct Keys {
    live: BTreeMap<KeyId, LiveKey>,
    live_of: HashMap<SubjectHash, KeyId>,
    destroyed: HashMap<KeyId, DestroyedKey>,
    destroyed_of: HashMap<SubjectHash, Vec<DestroyedKey>>,
}

impl Memory {
    /// A store without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyStore for Memory {
    async fn get(&self, ids: &[KeyId]) -> Result<Vec<StoredKey>, Error> {
        let keys = self.keys();
        let one = |id: &KeyId| {
            let live = keys.live.get(id).cloned().map(StoredKey::Live);
            live.or_else(|| keys.destroyed.get(id).copied().map(StoredKey::Destroyed))
        };
        Ok(ids.iter().filter_map(one).collect())
    }

    async fn find(&self, subject: SubjectHash) -> Result<Option<LiveKey>, Error> {
        let keys = self.keys();
        Ok(keys.live_of.get(&subject).and_then(|id| keys.live.get(id)).cloned())
    }

    async fn create(&self, key: &LiveKey) -> Result<LiveKey, Error> {
        let mut keys = self.keys();
        if let Some(existing) = keys.live_of.get(&key.subject).and_then(|id| keys.live.get(id)) {
            return Ok(existing.clone());
        }
        keys.live_of.insert(key.subject, key.id);
        keys.live.insert(key.id, key.clone());
        Ok(key.clone())
    }

    async fn destroy(&self, subject: SubjectHash, now: Timestamp) -> Result<Vec<DestroyedKey>, Error> {
        let mut keys = self.keys();
        if let Some(id) = keys.live_of.remove(&subject) {
            keys.live.remove(&id);
            let destroyed = DestroyedKey { id, destroyed_at: now };
            keys.destroyed.insert(id, destroyed);
            keys.destroyed_of.entry(subject).or_default().push(destroyed);
        }
        let mut destroyed = keys.destroyed_of.get(&subject).cloned().unwrap_or_default();
        destroyed.sort_by_key(|key| (key.destroyed_at, key.id));
        Ok(destroyed)
    }

    async fn wrapped_by_others(
        &self,
        current: &WrappingKeyId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<LiveKey>, Error> {
        let keys = self.keys();
        let others = keys.live.values().filter(|key| key.wrapped.by != *current && Some(key.id) > after);
        Ok(others.take(limit).cloned().collect())
    }

    async fn rewrap(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, Error> {
        let mut keys = self.keys();
        match keys.live.get_mut(&id) {
            Some(key) if key.wrapped == *from => {
                key.wrapped = to.clone();
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn counts(&self) -> Result<KeyCounts, Error> {
        let keys = self.keys();
        let mut counts = KeyCounts { destroyed: keys.destroyed.len() as u64, ..KeyCounts::default() };
        for key in keys.live.values() {
            *counts.live.entry(key.wrapped.by.clone()).or_default() += 1;
        }
        Ok(counts)
    }

    async fn close(&self) {}
}
