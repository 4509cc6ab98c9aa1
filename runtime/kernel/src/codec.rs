//! Stored values: MessagePack with field names, so that a reader needs no schema, and a type may gain or lose a field.

pub mod bytes;
mod event_codec;

use std::cell::Cell;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};

pub(crate) use event_codec::variant_tag;
pub use event_codec::{Decoded, EncodedEvent, EventCodec};

use crate::limits::NESTING;

/// A value that cannot be written, or bytes that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The value has a shape that MessagePack cannot hold.
    #[error("cannot encode {what}: {reason}")]
    Encode {
        /// The type of the value.
        what: &'static str,
        /// The message of the encoder.
        reason: String,
    },
    /// The bytes are not what the type expects.
    #[error("cannot decode {what}: {reason}")]
    Decode {
        /// The type that was expected, or the name of the event.
        what: String,
        /// The message of the decoder.
        reason: String,
    },
    /// The event was written by a newer version of the application.
    #[error("event {name} has schema version {found}, this application knows it up to {known}")]
    Newer {
        /// The name of the event.
        name: String,
        /// The version it was written with.
        found: u32,
        /// The latest version that is known.
        known: u32,
    },
    /// The steps of the upcasters form a circle.
    #[error("the upcasters of event {name} never end")]
    EndlessUpcast {
        /// The event that appeared again.
        name: String,
    },
}

/// Writes a value as MessagePack with field names.
///
/// # Errors
/// If the value has a shape that MessagePack cannot hold.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    with_encoded(value, <[u8]>::to_vec)
}

/// A larger buffer is freed after use, so that one large event does not cost every thread its size for ever.
const SCRATCH_KEPT_BYTES: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Encodes a value into a buffer of this thread. What `keep` copies from it is one allocation of the right size.
fn with_encoded<T: Serialize + ?Sized, R>(value: &T, keep: impl FnOnce(&[u8]) -> R) -> Result<R, CodecError> {
    // The buffer is taken and not borrowed, because a value may encode another one while it is encoded.
    let mut scratch = SCRATCH.take();
    scratch.clear();
    let written = rmp_serde::encode::write_named(&mut scratch, value);
    let kept = written.map(|()| keep(&scratch));
    if scratch.capacity() <= SCRATCH_KEPT_BYTES {
        SCRATCH.set(scratch);
    }
    kept.map_err(|error| CodecError::Encode { what: std::any::type_name::<T>(), reason: error.to_string() })
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// If the bytes are damaged or of another type.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_whole(bytes, |from| T::deserialize(from))
        .map_err(|error| CodecError::Decode { what: std::any::type_name::<T>().to_owned(), reason: error.to_string() })
}

type FromSlice<'de> = rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'de, [u8]>>;

/// Reads a value that fills `bytes`. Rmp-serde stops after the value: further bytes are damage.
fn decode_whole<'de, T>(
    bytes: &'de [u8],
    read: impl FnOnce(&mut FromSlice<'de>) -> Result<T, rmp_serde::decode::Error>,
) -> Result<T, rmp_serde::decode::Error> {
    use rmp_serde::decode::Error;

    let mut from = FromSlice::from_read_ref(bytes);
    from.set_max_depth(NESTING);
    let value = read(&mut from)?;
    // The deserializer does not report its position. But if it is asked for a nil, it reads exactly one marker, and
    // finds none only at the end.
    match <()>::deserialize(&mut from) {
        Err(Error::InvalidMarkerRead(end)) if end.kind() == std::io::ErrorKind::UnexpectedEof => Ok(value),
        _ => Err(Error::Syntax("there are bytes after the value".to_owned())),
    }
}
