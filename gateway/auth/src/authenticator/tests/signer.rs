//! Keys that sign tokens, well or badly.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// Making an RSA key takes long.
static RSA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec()
});

pub(super) struct Signer {
    pub(super) name: &'static str,
    pub(super) key_id: &'static str,
    pub(super) public_pem: String,
    pub(super) jwk: Value,
    algorithm: Algorithm,
    key: EncodingKey,
    private: Vec<u8>,
}

impl Signer {
    pub(super) fn rsa(key_id: &'static str) -> Self {
        let pair = RsaKeyPair::from_pkcs8(&RSA).unwrap();
        let components = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let jwk = json!({"kty": "RSA", "kid": key_id, "use": "sig", "alg": "RS256",
            "n": encoded(&components.n), "e": encoded(&components.e)});
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        // The library takes RSA keys in the form of PKCS #1.
        let pkcs1 = pkcs1_of(&RSA);
        let (public_pem, key) = (pem("PUBLIC KEY", spki.as_ref()), EncodingKey::from_rsa_der(&pkcs1));
        Self { name: "RS256", key_id, public_pem, jwk, algorithm: Algorithm::RS256, key, private: RSA.clone() }
    }

    pub(super) fn ec(key_id: &'static str) -> Self {
        let rng = SystemRandom::new();
        let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.as_ref()).unwrap();
        let point = pair.public_key().as_ref();
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": key_id, "alg": "ES256",
            "x": encoded(&point[1..33]), "y": encoded(&point[33..])});
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        let (public_pem, key) = (pem("PUBLIC KEY", spki.as_ref()), EncodingKey::from_ec_der(private.as_ref()));
        Self {
            name: "ES256",
            key_id,
            public_pem,
            jwk,
            algorithm: Algorithm::ES256,
            key,
            private: private.as_ref().to_vec(),
        }
    }

    pub(super) fn ed(key_id: &'static str) -> Self {
        let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": key_id, "x": encoded(pair.public_key().as_ref())});
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        let (public_pem, key) = (pem("PUBLIC KEY", spki.as_ref()), EncodingKey::from_ed_der(private.as_ref()));
        Self {
            name: "EdDSA",
            key_id,
            public_pem,
            jwk,
            algorithm: Algorithm::EdDSA,
            key,
            private: private.as_ref().to_vec(),
        }
    }

    pub(super) fn private_pem(&self) -> String {
        pem("PRIVATE KEY", &self.private)
    }

    pub(super) fn header(&self) -> Value {
        json!({"alg": self.name, "kid": self.key_id, "typ": "JWT"})
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    pub(super) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        self.sign_texts(&header.to_string(), &claims.to_string())
    }

    /// Signs texts that need not be JSON.
    pub(super) fn sign_texts(&self, header: &str, claims: &str) -> String {
        self.sign_message(&format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes())))
    }

    pub(super) fn sign_message(&self, message: &str) -> String {
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// A token with a keyed hash for a signature: what HS256 would be.
pub(super) fn with_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

pub(super) fn key_set(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| &signer.jwk).collect::<Vec<_>>()}).to_string()
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

/// The key within a PKCS #8 envelope: all after the last header of a sequence that reaches the end.
fn pkcs1_of(pkcs8: &[u8]) -> Vec<u8> {
    let start = (1..pkcs8.len()).find(|at| {
        let rest = &pkcs8[*at..];
        rest.len() > 4
            && rest[..2] == [0x30, 0x82]
            && usize::from(rest[2]) << 8 | usize::from(rest[3]) == rest.len() - 4
    });
    pkcs8[start.unwrap()..].to_vec()
}

#[test]
fn the_signers_of_these_tests_sign_well() {
    let ed = Signer::ed("x");
    let token = ed.sign(&json!({}));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let public = URL_SAFE_NO_PAD.decode(ed.jwk["x"].as_str().unwrap()).unwrap();
    let key = UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public);
    key.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
}
