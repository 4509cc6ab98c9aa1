//! An issuer of tokens, for tests of servers that authenticate their callers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The time for which tokens count: longer than any test.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The name of the issuer.
const NAME: &str = "https://issuer.test";

/// The name of the server in its tokens.
const AUDIENCE: &str = "dormouse";

/// An issuer of tokens with one key.
pub struct TokenIssuer {
    key: KeyPair,
    key_id: String,
    /// When its tokens end, in seconds since 1970. It is the same for all of them, so that a subject with the same roles
    /// always gets the same token: a server notes the first use of each token.
    expires: u64,
    directory: TempDir,
}

impl TokenIssuer {
    /// A new issuer, whose public key is in a file. The id of its key is in its tokens and in its key set.
    ///
    /// # Panics
    /// When no key can be made, the file cannot be written, or the clock is before 1970.
    #[must_use]
    pub fn new(key_id: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key can be made");
        let directory = TempDir::new().expect("a temporary directory");
        fs::write(directory.path().join("issuer.pem"), key.public_key_pem()).expect("the directory can be written to");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        Self { key, key_id: key_id.to_owned(), expires: (now + LIFETIME).as_secs(), directory }
    }

    /// The PEM file with its public key.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.directory.path().join("issuer.pem")
    }

    /// A PEM file with its private key.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn private_key(&self) -> PathBuf {
        let path = self.directory.path().join("issuer.key");
        fs::write(&path, self.key.serialize_pem()).expect("the directory can be written to");
        path
    }

    /// The key as a JSON Web Key.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.der_bytes());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.key_id, "x": x})
    }

    /// The settings of a server that trusts this issuer, by the file with its key.
    #[must_use]
    pub fn settings(&self) -> Vec<String> {
        self.settings_with(&format!("auth.jwt.public_key={}", self.public_key().display()))
    }

    /// The same, with another setting for the keys.
    #[must_use]
    pub fn settings_with(&self, keys: &str) -> Vec<String> {
        let audience = format!("auth.jwt.audience=[{AUDIENCE:?}]");
        vec!["auth.mode=jwt".to_owned(), format!("auth.jwt.issuer={NAME}"), audience, keys.to_owned()]
    }

    /// The token of a subject with roles, which counts for an hour after the start of the issuer.
    #[must_use]
    pub fn token(&self, subject: &str, roles: &[&str]) -> String {
        self.sign(&json!({"iss": NAME, "aud": AUDIENCE, "sub": subject, "exp": self.expires, "roles": roles}))
    }

    /// A token with these claims.
    ///
    /// # Panics
    /// When the key does not sign.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.key_id});
        let message = format!("{}.{}", encoded(&header), encoded(claims));
        let signature = self.key.sign(message.as_bytes()).expect("the key signs");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The directory of its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}
