//! The text of a file with wrapping keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::secret::SecretKey;
use crate::wrapping::WrappingKeyId;

/// What is wrong with the text. It never shows a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// There is no key.
    #[error("the file has no wrapping key")]
    Empty,
    /// A line is not an id, one blank, and 32 bytes in base64.
    #[error("line {line}: expected the id of a wrapping key, one blank, and 32 bytes in base64")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// Two lines have the same id, or the same key.
    #[error("line {line}: an earlier line has the same id or the same key")]
    Repeated {
        /// The number of the second one, from 1.
        line: usize,
    },
    /// The cipher refuses a key.
    #[error("the cipher refuses a wrapping key")]
    Cipher,
}

/// The keys of a file, in its order.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) keys: Vec<(WrappingKeyId, SecretKey)>,
}

impl Content {
    pub(super) fn parse(text: &str) -> Result<Self, ContentError> {
        let mut keys: Vec<(WrappingKeyId, SecretKey)> = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            let (id, secret) = parse_line(text).ok_or(ContentError::Line { line })?;
            let is_same =
                |(known, other): &(WrappingKeyId, SecretKey)| *known == id || other.expose() == secret.expose();
            if keys.iter().any(is_same) {
                return Err(ContentError::Repeated { line });
            }
            keys.push((id, secret));
        }
        if keys.is_empty() { Err(ContentError::Empty) } else { Ok(Self { keys }) }
    }
}

fn parse_line(text: &str) -> Option<(WrappingKeyId, SecretKey)> {
    let (id, secret) = text.split_once(' ')?;
    let bytes = Zeroizing::new(STANDARD.decode(secret).ok()?);
    Some((WrappingKeyId::new(id).ok()?, SecretKey::from_bytes(&bytes)?))
}

/// Adds a line. The last one may lack its end, if somebody has edited the file.
pub(super) fn append(text: &mut Zeroizing<String>, id: &WrappingKeyId, secret: &SecretKey) {
    let encoded = Zeroizing::new(STANDARD.encode(secret.expose()));
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    // A new string of the full size: one that grows would leave copies behind.
    let mut longer = Zeroizing::new(String::with_capacity(text.len() + id.as_str().len() + encoded.len() + 3));
    for part in [text.as_str(), end, id.as_str(), " ", &encoded, "\n"] {
        longer.push_str(part);
    }
    *text = longer;
}
