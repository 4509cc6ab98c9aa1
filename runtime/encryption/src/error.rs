//! Why something could not be encrypted or decrypted.

use crate::id::KeyId;

/// The system gives no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// The library of the cipher refuses a key or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cipher failed")]
pub struct CipherFailed;

/// A payload that is not what its format says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends too early, or has something after its value, or bytes that the format does not know.
    #[error("the payload is damaged")]
    Damaged,
    /// It nests deeper than any payload may.
    #[error("the payload nests too deep")]
    TooDeep,
}

/// Why a payload could not be sealed. It is unchanged then, and a retry does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The payload is not in its format.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The cipher failed.
    #[error(transparent)]
    Cipher(#[from] CipherFailed),
}

/// Why a payload could not be opened. It is unchanged then. A retry helps only after [`NoKey`](Self::NoKey), if the key
/// was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The payload is not in its format.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A sealed value is shorter than any may be.
    #[error("a sealed value was cut off: it has {bytes} bytes")]
    Truncated {
        /// Its length.
        bytes: usize,
    },
    /// A sealed value has a format that this program does not know.
    #[error("a sealed value has the format {found}: use a newer dormouse")]
    UnknownFormat {
        /// The number of its format.
        found: u8,
    },
    /// The keys at hand lack one. It was not loaded, or the store of keys has lost it.
    #[error("there is no data key {key}: it was not loaded, or the store of keys has lost it")]
    NoKey {
        /// The key.
        key: KeyId,
    },
    /// A sealed value was changed or moved, or the key is another one of the same id.
    #[error("a value that the data key {key} sealed was changed, or belongs elsewhere")]
    NotAuthentic {
        /// The key that it names.
        key: KeyId,
    },
    /// The whole payload was sealed, and its key was destroyed: nothing is left to be shown.
    #[error("the payload was forgotten: its data key {key} was destroyed")]
    Forgotten {
        /// The key.
        key: KeyId,
    },
}
