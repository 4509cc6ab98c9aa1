//! Unwrapped keys in memory.
//!
//! A key that is loaded while its subject is forgotten must not stay. So whoever loads keys notes the number of
//! forgets before, and what it loads is kept only if the number is the same.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::sync::Cache as Bounded;

use super::Options;
use crate::data_key::DataKey;
use crate::id::{KeyId, SubjectHash};
use crate::keyring::KeyState;

pub(super) struct Cache {
    states: Bounded<KeyId, KeyState>,
    keys: Bounded<SubjectHash, Arc<DataKey>>,
    /// Counts the beginning and the end of each forget. The lock also makes a check and the insertion after it one step.
    forgets: Mutex<u64>,
}

/// The beginnings and ends of forgets so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forgets(u64);

impl Forgets {
    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

impl Cache {
    pub(super) fn new(Options { cached_keys, cached_for }: Options) -> Self {
        Self {
            states: Bounded::builder().max_capacity(cached_keys).time_to_live(cached_for).build(),
            keys: Bounded::builder().max_capacity(cached_keys).time_to_live(cached_for).build(),
            forgets: Mutex::new(0),
        }
    }

    pub(super) fn state(&self, id: KeyId) -> Option<KeyState> {
        self.states.get(&id)
    }

    pub(super) fn key_of(&self, subject: SubjectHash) -> Option<Arc<DataKey>> {
        self.keys.get(&subject)
    }

    /// To be noted before keys are read from the store.
    pub(super) fn forgets(&self) -> Forgets {
        Forgets(*self.lock())
    }

    pub(super) fn keep_state(&self, before: Forgets, id: KeyId, state: &KeyState) {
        let forgets = self.lock();
        // A destroyed key stays destroyed.
        if Forgets(*forgets) == before || matches!(state, KeyState::Destroyed) {
            self.states.insert(id, state.clone());
        }
    }

    pub(super) fn keep_key_of(&self, before: Forgets, subject: SubjectHash, key: &Arc<DataKey>) {
        let forgets = self.lock();
        if Forgets(*forgets) == before {
            self.keys.insert(subject, Arc::clone(key));
            self.states.insert(key.id(), KeyState::Live(Arc::clone(key)));
        }
    }

    /// To be called before a key is destroyed in the store. The number changes. A writer that has opened values of the
    /// subject, and finds no key any more, sees by the number that it must not seal them with a new one.
    pub(super) fn begin_forget(&self) {
        *self.lock() += 1;
    }

    /// To be called after a key was destroyed in the store.
    pub(super) fn forget(&self, subject: SubjectHash, destroyed: impl Iterator<Item = KeyId>) {
        let mut forgets = self.lock();
        *forgets += 1;
        self.keys.invalidate(&subject);
        for id in destroyed {
            self.states.insert(id, KeyState::Destroyed);
        }
        // Otherwise the old entries would be dropped some time later.
        self.keys.run_pending_tasks();
        self.states.run_pending_tasks();
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.forgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
