//! Keys of documents.

use std::fmt;
use std::sync::Arc;

use dormouse_kernel::{AggregateId, AggregateRef};

use crate::limits::KEY_BYTES;

/// The key of a document within its view: a text of 1 to 1,024 bytes without NUL. Cheap to clone.
///
/// Keys are made from events, and events cannot be refused. So a key is checked when its event is projected, and an
/// event with an invalid key is parked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as shared text, so that a caller can bind or store it without copying.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Why the key is invalid. `None`: it is valid.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self.0.len() {
            0 => Some("a key is empty".to_owned()),
            length if length > KEY_BYTES => Some(format!("a key has {length} bytes, at most {KEY_BYTES} are allowed")),
            _ if self.0.contains('\0') => Some("a key contains NUL".to_owned()),
            _ => None,
        }
    }
}

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self(key.into())
    }
}

impl From<String> for Key {
    fn from(key: String) -> Self {
        Self(key.into())
    }
}

impl From<Arc<str>> for Key {
    fn from(key: Arc<str>) -> Self {
        Self(key)
    }
}

impl From<&AggregateId> for Key {
    fn from(id: &AggregateId) -> Self {
        Self(id.shared())
    }
}

/// The key `type/id`: for views over aggregates of several types.
impl From<&AggregateRef> for Key {
    fn from(aggregate: &AggregateRef) -> Self {
        Self(aggregate.to_string().into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// The keys of the documents that one event concerns, in the order in which they are projected. A key that is added
/// twice counts once.
///
/// ```
/// use dormouse_projections::Keys;
///
/// let concerned = Keys::one("from").and("to").and("from");
/// assert_eq!(concerned.iter().map(|key| key.as_str()).collect::<Vec<_>>(), ["from", "to"]);
/// assert_eq!(Keys::none().iter().count(), 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Separate from the others: most events concern one document, and then no `Vec` is allocated.
    first: Option<Key>,
    others: Vec<Key>,
}

impl Keys {
    /// No keys: the event concerns no document.
    #[must_use]
    pub const fn none() -> Self {
        Self { first: None, others: Vec::new() }
    }

    /// One key.
    #[must_use]
    pub fn one(key: impl Into<Key>) -> Self {
        Self { first: Some(key.into()), others: Vec::new() }
    }

    /// Adds a key.
    #[must_use]
    pub fn and(mut self, key: impl Into<Key>) -> Self {
        let key = key.into();
        if self.first.is_none() {
            self.first = Some(key);
        } else if self.iter().all(|known| *known != key) {
            self.others.push(key);
        }
        self
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.first.iter().chain(&self.others)
    }
}

impl<K: Into<Key>> FromIterator<K> for Keys {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        keys.into_iter().fold(Self::none(), Self::and)
    }
}
