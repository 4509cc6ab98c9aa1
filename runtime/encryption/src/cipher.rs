//! AES-256-GCM with random 96-bit nonces and 128-bit tags.
//!
//! A key may encrypt 2^32 values: then the chance that two of them got the same nonce is 2^-32 (NIST SP 800-38D, 8.3).

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use crate::error::CipherFailed;
use crate::secret::SecretKey;

/// The bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = NONCE_LEN;

/// The bytes of a tag.
pub(crate) const TAG_BYTES: usize = 16;

/// A key that is ready for use.
pub(crate) struct Cipher(RandomizedNonceKey);

impl Cipher {
    pub(crate) fn new(key: &SecretKey) -> Result<Self, CipherFailed> {
        RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map(Self).map_err(|_| CipherFailed)
    }

    /// Appends nonce, ciphertext and tag.
    pub(crate) fn seal(&self, additional: &[u8], plain: &[u8], to: &mut Vec<u8>) -> Result<(), CipherFailed> {
        let nonce_at = to.len();
        to.reserve_exact(NONCE_BYTES + plain.len() + TAG_BYTES);
        to.extend_from_slice(&[0; NONCE_BYTES]);
        let plain_at = to.len();
        to.extend_from_slice(plain);
        let sealed = self.0.seal_in_place_separate_tag(Aad::from(additional), &mut to[plain_at..]);
        let Ok((nonce, tag)) = sealed else {
            // The caller must not find a plain text behind an error.
            to[plain_at..].fill(0);
            to.truncate(nonce_at);
            return Err(CipherFailed);
        };
        to[nonce_at..plain_at].copy_from_slice(nonce.as_ref());
        to.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Decrypts nonce, ciphertext and tag. `None` if they are too short, or if the key or the additional data are
    /// others.
    pub(crate) fn open(&self, additional: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plain = rest.to_vec();
        let length = self.0.open_in_place(nonce, Aad::from(additional), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

#[cfg(test)]
mod wycheproof;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nonce_is_new() {
        let cipher = Cipher::new(&SecretKey::random().unwrap()).unwrap();
        let nonces = (0..1000).map(|_| {
            let mut sealed = Vec::new();
            cipher.seal(b"", b"plain", &mut sealed).unwrap();
            assert_eq!(sealed.len(), NONCE_BYTES + 5 + TAG_BYTES);
            sealed[..NONCE_BYTES].to_vec()
        });
        assert_eq!(nonces.collect::<std::collections::HashSet<_>>().len(), 1000);
    }

    #[test]
    fn what_was_cut_off_is_not_opened() {
        let cipher = Cipher::new(&SecretKey::random().unwrap()).unwrap();
        let mut sealed = Vec::new();
        cipher.seal(b"more", b"plain", &mut sealed).unwrap();
        assert_eq!(cipher.open(b"more", &sealed).as_deref(), Some(&b"plain"[..]));
        for length in 0..sealed.len() {
            assert_eq!(cipher.open(b"more", &sealed[..length]), None, "{length}");
        }
    }
}
