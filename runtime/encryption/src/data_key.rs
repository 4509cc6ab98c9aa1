//! The key of one subject's data, ready for use.

use std::fmt;

use crate::cipher::Cipher;
use crate::error::CipherFailed;
use crate::id::KeyId;
use crate::secret::SecretKey;

/// A data key that was unwrapped.
pub struct DataKey {
    id: KeyId,
    cipher: Cipher,
}

impl DataKey {
    /// A key of these bytes.
    ///
    /// # Errors
    /// If the cipher refuses it.
    pub fn new(id: KeyId, secret: &SecretKey) -> Result<Self, CipherFailed> {
        Ok(Self { id, cipher: Cipher::new(secret)? })
    }

    /// Identifies the key. Each value that it seals names it.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) const fn cipher(&self) -> &Cipher {
        &self.cipher
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DataKey({}, ***)", self.id)
    }
}
