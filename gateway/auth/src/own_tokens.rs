//! Tokens of this server's own, for callers that no other issuer knows.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::issuer::Issuer;
use crate::key_set::KeySet;

/// The issuer and the audience of these tokens. Servers with the same key accept each other's tokens.
const NAME: &str = "urn:dormouse:own";

/// The random bytes of a token's id: two tokens of one second differ.
const ID_BYTES: usize = 16;

/// Makes tokens with a key of the server's own.
#[derive(Debug)]
pub struct OwnTokens(Ed25519KeyPair);

impl OwnTokens {
    /// Reads the private key, an Ed25519 key in PEM format (PKCS #8).
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let described = |what: &str| format!("{}: {what}", path.display());
        let text = fs::read(path).map_err(|error| described(&error.to_string()))?;
        let key = pem::parse(text).ok().filter(|block| block.tag() == "PRIVATE KEY");
        let key = key.and_then(|block| Ed25519KeyPair::from_pkcs8_maybe_unchecked(block.contents()).ok());
        key.map(Self).ok_or_else(|| {
            described(
                "the file has no private Ed25519 key in PEM format: `openssl genpkey -algorithm ed25519` makes one",
            )
        })
    }

    /// A token for a subject with these roles. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn issue(&self, subject: &str, roles: &[String], lifetime: Duration, now: u64) -> Result<String, String> {
        let mut id = [0; ID_BYTES];
        rand::fill(&mut id).map_err(|_| "the system gives no random bytes".to_owned())?;
        let claims = json!({
            "iss": NAME,
            "aud": NAME,
            "sub": subject,
            "roles": roles,
            "iat": now,
            "exp": now + lifetime.as_secs(),
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encoded(&json!({"alg": "EdDSA", "typ": "JWT"})), encoded(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes()));
        Ok(format!("{message}.{signature}"))
    }

    /// What these tokens must say.
    pub(crate) fn issuer() -> Issuer {
        Issuer::own(NAME)
    }

    /// The key that verifies them.
    pub(crate) fn keys(&self) -> KeySet {
        KeySet::of_ed25519(self.0.public_key().as_ref())
    }
}
