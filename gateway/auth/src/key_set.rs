//! The public keys of an issuer: from a PEM file or a JSON Web Key Set (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::token::Token;

/// The largest file or answer with keys: a key set with certificates has some kilobytes for each key.
pub(crate) const BYTES_MAX: usize = 1 << 20;

/// The most keys of a set. Issuers have two or three, one of them on its way in or out.
const KEYS_MAX: usize = 100;

/// The shortest modulus of an RSA key: 2048 bits (RFC 7518, 3.3).
const RSA_BYTES_MIN: usize = 256;

/// The bytes of an uncompressed point on P-256.
const P256_POINT_BYTES: usize = 65;

/// The bytes of an Ed25519 key.
const ED25519_BYTES: usize = 32;

/// The public keys of an issuer.
#[derive(Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

/// A key, with the one algorithm that it is used for. A token cannot choose another one.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl KeySet {
    /// The public key in a PEM file.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(pem).map_err(|_| "the file is no PEM file".to_owned())?;
        if text.contains("PRIVATE KEY") {
            return Err("the file has a private key: the issuer keeps it, name a file with the public key".to_owned());
        }
        let rsa = DecodingKey::from_rsa_pem(pem).ok().map(|key| (Algorithm::RS256, key));
        let key = rsa
            .or_else(|| DecodingKey::from_ec_pem(pem).ok().map(|key| (Algorithm::ES256, key)))
            .or_else(|| DecodingKey::from_ed_pem(pem).ok().map(|key| (Algorithm::EdDSA, key)));
        let (algorithm, key) =
            key.ok_or("the file has no public key in PEM format (RSA, P-256 or Ed25519)".to_owned())?;
        let bytes = key.try_get_as_bytes().map_err(|error| error.to_string())?;
        match algorithm {
            Algorithm::RS256 => {
                let components = aws_lc::DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
                let (modulus, _) = components(bytes).map_err(|_| "the RSA key cannot be read".to_owned())?;
                check_modulus(&modulus)?;
            }
            Algorithm::ES256 if bytes.len() != P256_POINT_BYTES => {
                return Err("the key is on another curve than P-256".to_owned());
            }
            _ => {}
        }
        Ok(Self(vec![Key { id: None, algorithm, key }]))
    }

    /// One Ed25519 key.
    pub(crate) fn of_ed25519(public: &[u8]) -> Self {
        Self(vec![Key { id: None, algorithm: Algorithm::EdDSA, key: DecodingKey::from_ed_der(public) }])
    }

    /// The keys of a JSON Web Key Set that can verify signatures. Others are ignored, as RFC 7517 demands.
    pub(crate) fn from_jwks(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document =
            serde_json::from_slice(json).map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
        if document.keys.len() > KEYS_MAX {
            return Err(format!("it has more than {KEYS_MAX} keys"));
        }
        let mut keys = Vec::new();
        for (number, key) in document.keys.into_iter().enumerate() {
            let Ok(key) = serde_json::from_value::<JsonWebKey>(key) else { continue };
            match key.parse() {
                Ok(key) => keys.extend(key),
                Err(problem) => return Err(format!("its key {number} {problem}")),
            }
        }
        if keys.is_empty() { Err("it has no key for RS256, ES256 or EdDSA".to_owned()) } else { Ok(Self(keys)) }
    }

    /// Whether a key could have signed the token.
    pub(crate) fn has_candidate(&self, token: &Token<'_>) -> bool {
        self.candidates(token).next().is_some()
    }

    /// Whether one of the keys has signed the token.
    pub(crate) fn verifies(&self, token: &Token<'_>) -> bool {
        self.candidates(token).any(|key| {
            jsonwebtoken::crypto::verify(token.signature, token.message.as_bytes(), &key.key, key.algorithm)
                .unwrap_or(false)
        })
    }

    /// The keys with the token's algorithm and key id. A key without an id, as that of a PEM file, is one for any id.
    fn candidates(&self, token: &Token<'_>) -> impl Iterator<Item = &Key> {
        let fits = |key: &&Key| match (&key.id, &token.key_id) {
            (Some(id), Some(named)) => id == named,
            _ => true,
        };
        self.0.iter().filter(|key| key.algorithm == token.algorithm).filter(fits)
    }
}

/// A key as RFC 7517 and RFC 7518 write it. Keys with other members than these are not wanted.
#[derive(Deserialize)]
struct JsonWebKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl JsonWebKey {
    /// `None`: it is for something else.
    fn parse(self) -> Result<Option<Key>, String> {
        let verifies = self.r#use.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|purposes| purposes.iter().any(|purpose| purpose == "verify"));
        let (algorithm, name) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", None) => (Algorithm::RS256, "RS256"),
            ("EC", Some("P-256")) => (Algorithm::ES256, "ES256"),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA"),
            _ => return Ok(None),
        };
        if !verifies || self.alg.as_deref().is_some_and(|alg| alg != name) {
            return Ok(None);
        }
        let bytes = |member: Option<&String>, what: &str| {
            let text = member.ok_or(format!("has no {what}"))?;
            URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| format!("has no {what} in base64url"))
        };
        let key = match algorithm {
            Algorithm::RS256 => {
                let (n, e) = (bytes(self.n.as_ref(), "n")?, bytes(self.e.as_ref(), "e")?);
                check_modulus(&n)?;
                DecodingKey::from_rsa_raw_components(&n, &e)
            }
            Algorithm::ES256 => {
                let point = [vec![4], bytes(self.x.as_ref(), "x")?, bytes(self.y.as_ref(), "y")?].concat();
                if point.len() != P256_POINT_BYTES {
                    return Err("has no point on P-256".to_owned());
                }
                DecodingKey::from_ec_der(&point)
            }
            _ => {
                let point = bytes(self.x.as_ref(), "x")?;
                if point.len() != ED25519_BYTES {
                    return Err("has no point on Ed25519".to_owned());
                }
                DecodingKey::from_ed_der(&point)
            }
        };
        Ok(Some(Key { id: self.kid, algorithm, key }))
    }
}

fn check_modulus(modulus: &[u8]) -> Result<(), String> {
    let significant = modulus.iter().skip_while(|byte| **byte == 0).count();
    if significant < RSA_BYTES_MIN { Err("the RSA key has fewer than 2048 bits".to_owned()) } else { Ok(()) }
}
