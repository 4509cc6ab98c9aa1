//! Bytes of keys.

use std::fmt;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::error::NoRandomness;

/// The bytes of a 256-bit key. They are overwritten when it is dropped, and `Debug` does not show them.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; Self::BYTES]>);

impl SecretKey {
    /// The length of a key.
    pub const BYTES: usize = 32;

    /// A new random key.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        rand::fill(&mut *bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// A key of these bytes. `None` if their number is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; Self::BYTES]);
        if bytes.len() != key.len() {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// A key of these bytes.
    pub(crate) fn of(bytes: &[u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The bytes. Whoever copies them overwrites the copy.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// A key for one purpose, which does not show this key.
    pub(crate) fn derive(&self, purpose: &str) -> Self {
        Self(Zeroizing::new(blake3::derive_key(purpose, self.expose())))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey(***)")
    }
}
