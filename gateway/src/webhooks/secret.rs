//! The secret that a receiver and this server share.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use standardwebhooks::Webhook as Signer;
use tokio_rustls::rustls::crypto::ring;

/// What secrets begin with.
const PREFIX: &str = "whsec_";

/// Bytes of a secret, as Standard Webhooks recommend them.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Bytes of a secret that is made here.
const NEW_BYTES: usize = 32;

/// A secret: `whsec_` and base64. Only [`expose`](Self::expose) shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Secret(String);

/// A text is not a secret. The error does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a secret: it needs {PREFIX} and 24 to 64 bytes in base64")]
pub(crate) struct InvalidSecret;

impl Secret {
    /// A new secret. `None` if the system gives no random bytes.
    pub(crate) fn new() -> Option<Self> {
        let mut bytes = [0; NEW_BYTES];
        ring::default_provider().secure_random.fill(&mut bytes).ok()?;
        Some(Self(format!("{PREFIX}{}", STANDARD.encode(bytes))))
    }

    /// The secret itself, to show it once.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Signs a message: the header `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Result<String, standardwebhooks::WebhookError> {
        Signer::new(&self.0)?.sign(id, timestamp, body)
    }
}

impl TryFrom<String> for Secret {
    type Error = InvalidSecret;

    fn try_from(text: String) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| InvalidSecret)?;
        if BYTES.contains(&bytes.len()) { Ok(Self(text)) } else { Err(InvalidSecret) }
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> Self {
        secret.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_is_valid_and_random() {
        let (one, other) = (Secret::new().unwrap(), Secret::new().unwrap());
        assert_ne!(one, other);
        assert_eq!(Secret::try_from(one.expose().to_owned()), Ok(one.clone()));
        assert_eq!(format!("{one:?}"), "Secret(***)");
    }

    #[test]
    fn other_texts_are_refused() {
        let short = format!("{PREFIX}{}", STANDARD.encode([1; 23]));
        let long = format!("{PREFIX}{}", STANDARD.encode([1; 65]));
        for text in ["", "secret", "whsec_", "whsec_*", &short, &long] {
            assert_eq!(Secret::try_from(text.to_owned()), Err(InvalidSecret), "{text}");
        }
    }

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of Standard Webhooks.
        let secret = Secret::try_from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()).unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
