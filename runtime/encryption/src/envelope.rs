//! A sealed value: the number of the format, the key's id, a nonce, the ciphertext, and a tag.
//!
//! ```text
//!  0        1               17      29           n − 16  n
//!  ├────────┼───────────────┼───────┼────────────┼───────┤
//!  │ format │ id of the key │ nonce │ ciphertext │ tag   │
//!  └────────┴───────────────┴───────┴────────────┴───────┘
//! ```

use crate::binding::{Binding, Form};
use crate::cipher::{NONCE_BYTES, TAG_BYTES};
use crate::data_key::DataKey;
use crate::error::{CipherFailed, OpenError};
use crate::id::KeyId;

/// The number of the format.
const FORMAT: u8 = 1;

/// The bytes before the nonce.
pub(crate) const HEADER_BYTES: usize = 1 + KeyId::BYTES;

/// How many bytes longer a sealed value is.
pub(crate) const OVERHEAD_BYTES: usize = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/// A sealed value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    key: KeyId,
    header: &'a [u8; HEADER_BYTES],
    sealed: &'a [u8],
}

/// Seals a value.
pub(crate) fn seal(
    plain: &[u8],
    key: &DataKey,
    binding: &Binding<'_>,
    form: Form,
    path: &str,
) -> Result<Vec<u8>, CipherFailed> {
    let mut header = [FORMAT; HEADER_BYTES];
    header[1..].copy_from_slice(key.id().as_bytes());
    let mut envelope = Vec::with_capacity(OVERHEAD_BYTES + plain.len());
    envelope.extend_from_slice(&header);
    key.cipher().seal(&binding.additional_data(form, &header, path), plain, &mut envelope)?;
    Ok(envelope)
}

impl<'a> Envelope<'a> {
    /// Reads what is not encrypted.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, OpenError> {
        let truncated = OpenError::Truncated { bytes: bytes.len() };
        match bytes.first() {
            None => return Err(truncated),
            Some(&FORMAT) => {}
            Some(&found) => return Err(OpenError::UnknownFormat { found }),
        }
        if bytes.len() < OVERHEAD_BYTES {
            return Err(truncated);
        }
        let (header, sealed) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(truncated)?;
        let key = KeyId::from_bytes(&header[1..]).ok_or(truncated)?;
        Ok(Self { key, header, sealed })
    }

    /// The key that sealed it.
    pub(crate) const fn key(&self) -> KeyId {
        self.key
    }

    /// Decrypts the value.
    pub(crate) fn open(
        &self,
        key: &DataKey,
        binding: &Binding<'_>,
        form: Form,
        path: &str,
    ) -> Result<Vec<u8>, OpenError> {
        let additional = binding.additional_data(form, self.header, path);
        key.cipher().open(&additional, self.sealed).ok_or(OpenError::NotAuthentic { key: self.key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretKey;

    const BINDING: Binding<'static> = Binding { aggregate_type: "learner", aggregate_id: "42", version: 3 };

    fn key() -> DataKey {
        DataKey::new(KeyId::random().unwrap(), &SecretKey::random().unwrap()).unwrap()
    }

    fn sealed(key: &DataKey) -> Vec<u8> {
        seal(b"ada@example.org", key, &BINDING, Form::MessagePack, "/email").unwrap()
    }

    fn open(bytes: &[u8], key: &DataKey) -> Result<Vec<u8>, OpenError> {
        Envelope::parse(bytes)?.open(key, &BINDING, Form::MessagePack, "/email")
    }

    #[test]
    fn the_format_is_pinned() {
        let key = key();
        let sealed = sealed(&key);
        assert_eq!(sealed[0], 1);
        assert_eq!(&sealed[1..17], key.id().as_bytes());
        assert_eq!(sealed.len(), 15 + 45);
        assert_eq!(open(&sealed, &key).unwrap(), b"ada@example.org");
    }

    #[test]
    fn a_value_that_was_cut_off_or_has_another_format_is_refused_with_a_reason() {
        let key = key();
        let sealed = sealed(&key);
        for bytes in 0..OVERHEAD_BYTES {
            assert_eq!(open(&sealed[..bytes], &key), Err(OpenError::Truncated { bytes }));
        }
        for bytes in OVERHEAD_BYTES..sealed.len() {
            assert_eq!(open(&sealed[..bytes], &key), Err(OpenError::NotAuthentic { key: key.id() }));
        }
        for found in [0, 2, 255] {
            let mut other = sealed.clone();
            other[0] = found;
            assert_eq!(open(&other, &key), Err(OpenError::UnknownFormat { found }));
        }
    }

    #[test]
    fn every_bit_counts() {
        let key = key();
        let sealed = sealed(&key);
        for bit in 8..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(open(&changed, &key), Err(OpenError::NotAuthentic { .. })), "{bit}");
        }
    }

    #[test]
    fn a_value_cannot_be_moved_elsewhere() {
        let key = key();
        let sealed = sealed(&key);
        let envelope = Envelope::parse(&sealed).unwrap();
        let refused = Err(OpenError::NotAuthentic { key: key.id() });
        for binding in [
            Binding { aggregate_type: "teacher", ..BINDING },
            Binding { aggregate_id: "43", ..BINDING },
            Binding { version: 4, ..BINDING },
        ] {
            assert_eq!(envelope.open(&key, &binding, Form::MessagePack, "/email"), refused, "{binding:?}");
        }
        assert_eq!(envelope.open(&key, &BINDING, Form::MessagePack, "/name"), refused);
        assert_eq!(envelope.open(&key, &BINDING, Form::Json, "/email"), refused);
        assert_eq!(envelope.open(&key, &BINDING, Form::Whole, "/email"), refused);
    }

    #[test]
    fn another_key_does_not_open_it() {
        let (key, other) = (key(), SecretKey::random().unwrap());
        let same_id = DataKey::new(key.id(), &other).unwrap();
        assert_eq!(open(&sealed(&key), &same_id), Err(OpenError::NotAuthentic { key: key.id() }));
    }
}
