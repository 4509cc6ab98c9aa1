//! Hashes that show whether two sealed values are equal, and nothing else.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::SecretKey;

/// Hashes the values of one field. Without the wrapping keys, nobody can tell a value from its hash by guessing.
///
/// Limit: the hash does not depend on the subject, so it outlives the subject's data key. Whoever forgets a subject
/// also removes the hashes of its values: until then, someone with the wrapping keys could check a guess.
#[derive(Clone)]
pub struct EqualityKey(SecretKey);

/// The hash of a value: 22 characters of base64url.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EqualityHash(String);

/// The bytes of a hash: two values of a field with 2^32 have the same one with a chance of 2^-65.
const BYTES: usize = 16;

impl EqualityKey {
    pub(super) fn new(root: &SecretKey, field: &str) -> Self {
        let key = Zeroizing::new(*blake3::keyed_hash(root.expose(), field.as_bytes()).as_bytes());
        // A hash has as many bytes as a key.
        Self(SecretKey::of(&key))
    }

    /// The hash of a value. Equal bytes have equal hashes: whoever compares texts without regard to case changes them
    /// before.
    #[must_use]
    pub fn hash(&self, value: &[u8]) -> EqualityHash {
        let hash = blake3::keyed_hash(self.0.expose(), value);
        EqualityHash(URL_SAFE_NO_PAD.encode(&hash.as_bytes()[..BYTES]))
    }
}

impl EqualityHash {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EqualityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EqualityKey(***)")
    }
}
