//! Names and ids. They are checked once, when they are made, and are cheap to clone.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::{AGGREGATE_ID_CHARS, AGGREGATE_TYPE_CHARS, COMMAND_KEY_CHARS, TIMER_NAME_CHARS};
use crate::number::Slice;

/// Why a name is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct InvalidId {
    /// What the name was meant for.
    pub what: &'static str,
    /// What is wrong with it, as the end of a sentence.
    pub problem: String,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the name.
            ///
            /// # Errors
            /// If the name is not valid. The error says why.
            pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidId> {
                let name = name.as_ref();
                match $check(name) {
                    Ok(()) => Ok(Self(name.into())),
                    Err(problem) => Err(InvalidId { what: $what, problem }),
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as shared text, so that it can be bound or stored without a copy.
            #[must_use]
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(name: String) -> Result<Self, InvalidId> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name! {
    /// The type of an aggregate: `order`, `stock-item`. Lower-case words with dashes, at most 64 characters.
    AggregateType, "the aggregate type", check_type
}

name! {
    /// The id of an aggregate within its type: 1 to 128 characters, none of them a slash or a control character.
    AggregateId, "the aggregate id", check_id
}

name! {
    /// A client's key for one command, under which it can send the command again: 1 to 128 visible ASCII characters.
    CommandKey, "the command key", check_key
}

name! {
    /// The name of a timer within its aggregate: 1 to 64 visible ASCII characters.
    TimerName, "the timer name", check_timer
}

fn check_timer(name: &str) -> Result<(), String> {
    check_visible(name, TIMER_NAME_CHARS)
}

fn check_type(name: &str) -> Result<(), String> {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if name.chars().count() > AGGREGATE_TYPE_CHARS {
        Err(format!("is longer than {AGGREGATE_TYPE_CHARS} characters"))
    } else if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.split('-').all(word) {
        Err("is not made of lower-case words joined by dashes, such as \"stock-item\"".to_owned())
    } else {
        Ok(())
    }
}

fn check_id(id: &str) -> Result<(), String> {
    let characters = id.chars().count();
    if characters == 0 {
        Err("is empty".to_owned())
    } else if characters > AGGREGATE_ID_CHARS {
        Err(format!("has {characters} characters, at most {AGGREGATE_ID_CHARS} are allowed"))
    } else if id.contains('/') {
        Err("contains a slash".to_owned())
    } else if id.chars().any(char::is_control) {
        Err("contains a control character".to_owned())
    } else if id == "." || id == ".." {
        Err("is a dot segment, which URLs cannot carry".to_owned())
    } else {
        Ok(())
    }
}

fn check_key(key: &str) -> Result<(), String> {
    check_visible(key, COMMAND_KEY_CHARS)
}

fn check_visible(text: &str, most: usize) -> Result<(), String> {
    if text.is_empty() {
        Err("is empty".to_owned())
    } else if text.len() > most {
        Err(format!("has {} characters, at most {most} are allowed", text.len()))
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err("contains something other than visible ASCII characters".to_owned())
    } else {
        Ok(())
    }
}

/// The type and the id of an aggregate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregateRef {
    /// The type.
    pub aggregate_type: AggregateType,
    /// The id within the type.
    pub id: AggregateId,
}

impl AggregateRef {
    /// The reference to an aggregate.
    #[must_use]
    pub const fn new(aggregate_type: AggregateType, id: AggregateId) -> Self {
        Self { aggregate_type, id }
    }

    /// The slice of the aggregate. It never changes.
    #[must_use]
    pub fn slice(&self) -> Slice {
        Slice::of(self.aggregate_type.as_str(), self.id.as_str())
    }
}

impl fmt::Display for AggregateRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.aggregate_type, self.id)
    }
}

/// The id of an event: a UUIDv7, so that ids sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_is_accepted_exactly_if_it_keeps_the_rule(id in prop_oneof![any::<String>(), "[a/.\\n]{0,3}", "[a-zü]{120,140}"]) {
            let length = id.chars().count();
            let clean = id.chars().all(|character| character != '/' && !character.is_control());
            let segment = id != "." && id != "..";
            let taken = AggregateId::new(&id);
            prop_assert_eq!(taken.is_ok(), (1..=128).contains(&length) && clean && segment);
            if let Ok(taken) = taken {
                prop_assert_eq!(taken.as_str(), id);
            }
        }

        #[test]
        fn decoding_checks_the_rule_of_a_name_too(id in any::<String>()) {
            let bytes = rmp_serde::to_vec(&id).unwrap();
            let decoded = rmp_serde::from_slice::<AggregateId>(&bytes).ok();
            prop_assert_eq!(decoded, AggregateId::new(id).ok());
        }
    }

    #[test]
    fn ids_of_up_to_128_characters_are_accepted() {
        assert!(AggregateId::new("ü".repeat(128)).is_ok());
        assert!(AggregateId::new("a b@c.example").is_ok());
    }

    #[test]
    fn an_id_that_a_url_or_a_log_cannot_carry_is_refused() {
        for id in ["", "a/b", "a\nb", "\0", ".", "..", &"a".repeat(129)] {
            assert!(AggregateId::new(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn types_are_lower_case_words() {
        for name in ["order", "stock-item", "v2", "a1-b2"] {
            assert!(AggregateType::new(name).is_ok(), "{name}");
        }
        for name in ["", "Order", "order_line", "-order", "order-", "a--b", "2order", "größe", &"a".repeat(65)] {
            assert!(AggregateType::new(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_error_says_what_is_not_valid_and_why() {
        let refusal = AggregateId::new("a".repeat(129)).unwrap_err();
        assert_eq!(refusal.to_string(), "the aggregate id has 129 characters, at most 128 are allowed");
    }

    #[test]
    fn keys_are_what_a_header_can_carry() {
        assert!(CommandKey::new("7c9e6679-7425-40de-944b-e07fc1f90ae7").is_ok());
        for key in ["", "a b", "ä", &"k".repeat(129)] {
            assert!(CommandKey::new(key).is_err(), "{key:?}");
        }
    }
}
