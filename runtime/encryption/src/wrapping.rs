//! Wrapping keys: they encrypt data keys, and nothing else.

mod file;

use std::fmt;

use async_trait::async_trait;
use serde::Serialize;

use crate::error::{CipherFailed, NoRandomness};
use crate::limits::WRAPPING_KEY_ID_CHARS;
use crate::secret::SecretKey;
pub use file::{WrappingKeyFile, WrappingKeyFileError};

/// Encrypts data keys with a key that never leaves its keeper: a file, a key management service, a hardware module.
///
/// The calls are asynchronous, because most keepers are other machines. They may be repeated.
#[async_trait]
pub trait WrapKeys: fmt::Debug + Send + Sync + 'static {
    /// The wrapping key that [`wrap`](Self::wrap) uses now. It may change while the process runs.
    fn current(&self) -> WrappingKeyId;

    /// Encrypts a data key. `context` is authenticated with it.
    ///
    /// # Errors
    /// If the keeper does not do it.
    async fn wrap(&self, secret: &SecretKey, context: &[u8]) -> Result<Wrapped, WrapError>;

    /// Decrypts what [`wrap`](Self::wrap) made with the same context, with the current wrapping key or an earlier one.
    ///
    /// # Errors
    /// If the keeper does not have the wrapping key, or if the bytes or the context are others.
    async fn unwrap(&self, wrapped: &Wrapped, context: &[u8]) -> Result<SecretKey, WrapError>;
}

/// A data key that a wrapping key has encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The wrapping key.
    pub by: WrappingKeyId,
    /// The encrypted bytes, in the format of the keeper.
    pub bytes: Vec<u8>,
}

/// The name of a wrapping key: 1 to 256 printable ASCII characters without blanks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct WrappingKeyId(String);

/// A text that names no wrapping key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} does not name a wrapping key: use 1 to {WRAPPING_KEY_ID_CHARS} printable ASCII characters without blanks"
)]
pub struct InvalidWrappingKeyId(String);

impl WrappingKeyId {
    /// The name of a wrapping key.
    ///
    /// # Errors
    /// If it is empty or too long, or has other characters.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidWrappingKeyId> {
        let text = text.into();
        let is_valid =
            (1..=WRAPPING_KEY_ID_CHARS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_valid { Ok(Self(text)) } else { Err(InvalidWrappingKeyId(text)) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WrappingKeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why a data key could not be wrapped or unwrapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The keeper does not have the wrapping key. A retry helps once somebody brings it back.
    #[error("the wrapping key {0} is missing: data keys that it wrapped cannot be used until it is back")]
    Missing(WrappingKeyId),
    /// The wrapped bytes were changed, belong to another data key, or another wrapping key has this name.
    #[error("a data key cannot be unwrapped with the wrapping key {0}: it was changed, or another key has this name")]
    NotAuthentic(WrappingKeyId),
    /// The keeper does not answer, or not now. A retry may succeed.
    #[error("the keeper of the wrapping keys is unavailable: {0}")]
    Unavailable(String),
    /// The cipher failed.
    #[error(transparent)]
    Cipher(#[from] CipherFailed),
    /// There are no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}
