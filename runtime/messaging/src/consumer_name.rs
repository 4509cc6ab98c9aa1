//! The names of consumers.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Characters of a name: enough for a kind and a word or a UUID, and short enough for a metric label.
const CHARS: usize = 96;

/// The name of a consumer, under which its progress is stored: `messages`, `timers`, `reactor/fulfilment`,
/// `handler/notify-tenant`, `webhook/…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConsumerName(Arc<str>);

/// A text is not the name of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be the name of a consumer: it needs 1 to {CHARS} lower-case letters, digits and dashes, with at most \
     one slash between them"
)]
pub struct InvalidConsumerName(pub String);

impl ConsumerName {
    /// Checks a name.
    ///
    /// # Errors
    /// If it is not valid.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidConsumerName> {
        let name = name.as_ref();
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if name.len() <= CHARS && name.split('/').count() <= 2 && name.split('/').all(is_word) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidConsumerName(name.to_owned()))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ConsumerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl TryFrom<String> for ConsumerName {
    type Error = InvalidConsumerName;

    fn try_from(name: String) -> Result<Self, InvalidConsumerName> {
        Self::new(name)
    }
}

impl From<ConsumerName> for String {
    fn from(name: ConsumerName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_word_or_two() {
        for name in ["messages", "handler/notify-tenant", "webhook/0190a7", &"a".repeat(96)] {
            assert_eq!(ConsumerName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "/", "a/", "a/b/c", "Handler/a", "handler/ä", "a b", &"a".repeat(97)] {
            assert!(ConsumerName::new(name).is_err(), "{name}");
        }
    }
}
