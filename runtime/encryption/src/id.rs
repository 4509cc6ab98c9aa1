//! What identifies a data key, and the person whose data it encrypts.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::NoRandomness;
use crate::limits::SUBJECT_BYTES;
use crate::secret::SecretKey;

/// Bytes as lower-case hexadecimal digits, in texts and in JSON.
macro_rules! hexadecimal {
    ($name:ident, $bytes:literal) => {
        impl $name {
            /// Its length.
            pub const BYTES: usize = $bytes;

            /// One of these bytes. `None` if their number is wrong.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = NotHexadecimal;

            fn from_str(text: &str) -> Result<Self, NotHexadecimal> {
                let wrong = NotHexadecimal { digits: $bytes * 2 };
                let is_hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                if text.len() != $bytes * 2 || !text.bytes().all(is_hexadecimal) {
                    return Err(wrong);
                }
                let mut bytes = [0; $bytes];
                for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
                    let digits = std::str::from_utf8(digits).map_err(|_| wrong)?;
                    *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong)?;
                }
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

/// Identifies a data key. It is random, and is part of each value that the key encrypts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

hexadecimal!(KeyId, 16);

impl KeyId {
    /// A new id.
    pub(crate) fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; Self::BYTES];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }
}

/// A keyed hash of a [`Subject`]. The store of keys has it in place of the subject: without the wrapping keys, nobody
/// can tell whom a key belongs to, not even by guessing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectHash([u8; 32]);

hexadecimal!(SubjectHash, 32);

impl SubjectHash {
    /// The root key is stored like a data key, under this hash, which no subject has.
    pub const ROOT: Self = Self([0; Self::BYTES]);

    pub(crate) fn of(subject: &Subject, lookup_key: &SecretKey) -> Self {
        Self(*blake3::keyed_hash(lookup_key.expose(), subject.as_str().as_bytes()).as_bytes())
    }
}

/// A text that is not as many hexadecimal digits as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} lower-case hexadecimal digits")]
pub struct NotHexadecimal {
    digits: usize,
}

/// The person or organization that data is about, such as `academy/learner/42`. All values of one subject have the same
/// data key, and are forgotten together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

/// A text that names no subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subject is a text of 1 to {SUBJECT_BYTES} bytes without control characters")]
pub struct InvalidSubject;

impl Subject {
    /// A subject.
    ///
    /// # Errors
    /// If the text is empty or too long, or has control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidSubject> {
        let text = text.into();
        let is_valid = !text.is_empty() && text.len() <= SUBJECT_BYTES && !text.chars().any(char::is_control);
        if is_valid { Ok(Self(text)) } else { Err(InvalidSubject) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_the_way_into_a_text_and_back() {
        let id = KeyId::random().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::from_str::<KeyId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        assert_eq!(KeyId::from_bytes(id.as_bytes()), Some(id));
        for wrong in ["", "0", &"0".repeat(31), &"0".repeat(33), &"G".repeat(32), &"A".repeat(32), &"+f".repeat(16)] {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_subject_has_a_name_without_control_characters() {
        assert!(Subject::new("academy/learner/42").is_ok());
        for wrong in ["", "a\nb", "\0", &"a".repeat(SUBJECT_BYTES + 1)] {
            assert_eq!(Subject::new(wrong), Err(InvalidSubject));
        }
    }

    #[test]
    fn the_hash_of_a_subject_depends_on_the_key() {
        let subject = Subject::new("academy/learner/42").unwrap();
        let (one, other) = (SecretKey::random().unwrap(), SecretKey::random().unwrap());
        assert_eq!(SubjectHash::of(&subject, &one), SubjectHash::of(&subject, &one));
        assert_ne!(SubjectHash::of(&subject, &one), SubjectHash::of(&subject, &other));
    }
}
