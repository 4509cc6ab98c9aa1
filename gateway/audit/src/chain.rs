//! The chain of keyed hashes over the lines, and its head.

use std::fmt;
use std::str::FromStr;

use crate::key::Key;

/// The bytes of a hash.
const MAC_BYTES: usize = 32;

/// The keyed hash over a line and all lines before it (BLAKE3 with a key).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mac(blake3::Hash);

impl Mac {
    /// The hash before the first line.
    pub const ROOT: Self = Self(blake3::Hash::from_bytes([0; MAC_BYTES]));

    /// The hash of a line that follows this one. `body` has the exact bytes of the line without its hash.
    pub(crate) fn next(self, key: &Key, body: &[u8]) -> Self {
        let mut hasher = key.hasher();
        // The hash of the line before has a fixed length, so no other pair gives the same bytes.
        hasher.update(self.0.as_bytes());
        hasher.update(body);
        Self(hasher.finalize())
    }

    /// Parses 64 hexadecimal digits. Capital ones are not written by [`Display`](fmt::Display), and are refused.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        blake3::Hash::from_hex(text).ok().map(Self)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Mac({self})")
    }
}

/// The last entry of a log: its number and its hash. Kept outside of the log's machine, it shows later that nothing was cut
/// from the end. As text: `SEQ:HEX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the entry, from 1. Zero: the log has none.
    pub sequence: u64,
    /// Its hash.
    pub mac: Mac,
}

impl Head {
    /// The head of a log without entries.
    pub const EMPTY: Self = Self { sequence: 0, mac: Mac::ROOT };
}

impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.sequence, self.mac)
    }
}

/// A text is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head is a number, a colon, and 64 hexadecimal digits in small letters")]
pub struct InvalidHead;

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let (digits, mac) = text.split_once(':').ok_or(InvalidHead)?;
        let sequence: u64 = digits.parse().map_err(|_| InvalidHead)?;
        let head = Self { sequence, mac: Mac::parse(mac.as_bytes()).ok_or(InvalidHead)? };
        // One head has one text: no plus sign and no zeros in front.
        if head.to_string() == text { Ok(head) } else { Err(InvalidHead) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_head_is_parsed_as_it_is_written(sequence: u64, bytes: [u8; MAC_BYTES]) {
            let head = Head { sequence, mac: Mac(blake3::Hash::from_bytes(bytes)) };
            prop_assert_eq!(head.to_string().parse(), Ok(head));
        }

        #[test]
        fn no_other_text_is_parsed(text in "[+0-9a-fA-F: ]{0,80}") {
            if let Ok(head) = text.parse::<Head>() {
                prop_assert_eq!(head.to_string(), text);
            }
        }
    }

    #[test]
    fn a_head_that_is_written_in_another_way_is_refused() {
        let hex = "0a".repeat(MAC_BYTES);
        assert!(format!("12:{hex}").parse::<Head>().is_ok());
        for text in [
            String::new(),
            "12".to_owned(),
            format!("12:{}", &hex[1..]),
            format!("12:{hex}0a"),
            format!("012:{hex}"),
            format!("+12:{hex}"),
            format!(" 12:{hex}"),
            format!("12:{hex}\n"),
            format!("12:{}", hex.to_uppercase()),
            format!("99999999999999999999:{hex}"),
        ] {
            assert_eq!(text.parse::<Head>(), Err(InvalidHead), "{text:?}");
        }
    }
}
