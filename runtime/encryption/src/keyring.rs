//! Keys at hand: those that a decoder uses, without waiting.

use std::collections::HashMap;
use std::sync::Arc;

use crate::data_key::DataKey;
use crate::id::KeyId;

/// What is known of a data key.
#[derive(Clone, Debug)]
pub enum KeyState {
    /// It can be used.
    Live(Arc<DataKey>),
    /// It was destroyed: what it sealed is forgotten.
    Destroyed,
}

/// Finds data keys, without waiting.
pub trait FindKey {
    /// A data key. `None` if it is not at hand.
    fn find_key(&self, id: KeyId) -> Option<KeyState>;
}

/// Keys that were loaded together ([`DataKeys::prefetch`](crate::DataKeys::prefetch)). They stay at hand for as long as
/// the keyring exists, whatever the cache forgets. A key that it lacks does not exist.
#[derive(Clone, Debug, Default)]
pub struct Keyring(HashMap<KeyId, KeyState>);

impl Keyring {
    /// A keyring without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key.
    pub fn insert(&mut self, id: KeyId, state: KeyState) {
        self.0.insert(id, state);
    }

    /// Adds all keys of another keyring.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many keys it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FindKey for Keyring {
    fn find_key(&self, id: KeyId) -> Option<KeyState> {
        self.0.get(&id).cloned()
    }
}
