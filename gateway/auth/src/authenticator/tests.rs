//! Tokens that are accepted, tokens that are not, and keys that change.

mod hostile;
mod mutations;
mod rotation;
mod signer;

use std::path::Path;

use dormouse_config::{Config, Issuer, Jwks};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::signer::{Signer, key_set};
use super::*;

/// The time of these tests, in seconds since 1970.
const NOW: f64 = 1_800_000_000.0;

const ISSUER: &str = "https://issuer.example";

fn issuer(jwks: Jwks) -> Issuer {
    Issuer {
        issuer: ISSUER.to_owned(),
        audience: vec!["shop".to_owned()],
        public_key: "".into(),
        jwks,
        roles_claim: "roles".to_owned(),
        roles: Vec::new(),
        leeway: std::time::Duration::from_secs(30),
        required_claims: vec!["client_id".to_owned()],
    }
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "shop", "sub": "ada", "exp": NOW + 300.0, "client_id": "web", "roles": ["user"]})
}

fn no_fetch() -> FetchKeys {
    Arc::new(|_| Err("nobody answers".to_owned()))
}

/// A server that trusts an issuer with three keys in a file, and another one with a PEM file.
struct Server {
    authenticator: Authenticator,
    rsa: Signer,
    ec: Signer,
    ed: Signer,
    partner: Signer,
    _files: TempDir,
}

impl Server {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Issuer)) -> Self {
        let (rsa, ec, ed, partner) = (Signer::rsa("r-1"), Signer::ec("e-1"), Signer::ed("d-1"), Signer::ed("p-1"));
        let files = tempfile::tempdir().unwrap();
        let jwks = files.path().join("jwks.json");
        std::fs::write(&jwks, key_set(&[&rsa, &ec, &ed])).unwrap();
        let pem = files.path().join("partner.pem");
        std::fs::write(&pem, &partner.public_pem).unwrap();
        let mut auth = Config::embedded().auth;
        auth.jwt = issuer(Jwks::File(jwks));
        change(&mut auth.jwt);
        let of_partner = Issuer { issuer: "partner".to_owned(), public_key: pem, ..issuer(Jwks::None) };
        auth.issuers.insert("partner".to_owned(), of_partner);
        let authenticator = Authenticator::load(&auth, &no_fetch()).unwrap();
        Self { authenticator, rsa, ec, ed, partner, _files: files }
    }

    async fn ask(&self, token: &str) -> Result<Arc<Caller>, Refused> {
        self.authenticator.authenticate_at(token, NOW).await
    }
}

impl Authenticator {
    async fn authenticate_at(&self, credentials: &str, now: f64) -> Result<Arc<Caller>, Refused> {
        self.accept_at(credentials, now).await.map(|accepted| accepted.caller)
    }
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

#[tokio::test]
async fn a_token_of_each_algorithm_tells_who_its_caller_is() {
    let server = Server::new();
    for signer in [&server.rsa, &server.ec, &server.ed] {
        let caller = server.ask(&signer.sign(&claims())).await.unwrap();
        assert_eq!(caller.subject, "ada");
        assert_eq!(caller.rights, Rights::Roles(vec!["user".to_owned()]));
        let without_key_id = signer.sign_as(&json!({"alg": signer.name}), &claims());
        assert_eq!(server.ask(&without_key_id).await.unwrap().subject, "ada");
    }
}

#[tokio::test]
async fn each_issuer_has_keys_of_its_own() {
    let server = Server::new();
    let of_partner = with(claims(), "iss", json!("partner"));
    assert_eq!(server.ask(&server.partner.sign(&of_partner)).await.unwrap().subject, "partner:ada");
    assert_eq!(server.ask(&server.partner.sign(&claims())).await, Err(Refused::UnknownKey));
    assert_eq!(server.ask(&server.ed.sign(&of_partner)).await, Err(Refused::Signature));
}

#[tokio::test]
async fn no_issuer_speaks_for_callers_of_another_one_or_for_api_keys() {
    let server = Server::new();
    for subject in ["partner:ada", "key:ci", "key:"] {
        let refused = server.ask(&server.ed.sign(&with(claims(), "sub", json!(subject)))).await.unwrap_err();
        assert!(matches!(refused, Refused::Claim { .. }), "{subject}: {refused}");
    }
    let token = server.partner.sign(&with(with(claims(), "iss", json!("partner")), "sub", json!("key:ci")));
    assert_eq!(server.ask(&token).await.unwrap().subject, "partner:key:ci");
}

#[tokio::test]
async fn an_issuer_gives_only_the_roles_that_it_is_trusted_with() {
    let server = Server::with(|issuer| issuer.roles = vec!["user".to_owned(), "guest".to_owned()]);
    let token = server.ed.sign(&with(claims(), "roles", json!(["admin", "user", "users"])));
    assert_eq!(server.ask(&token).await.unwrap().rights, Rights::Roles(vec!["user".to_owned()]));
}

#[tokio::test]
async fn times_count_with_the_leeway() {
    let server = Server::new();
    for (claim, seconds, accepted) in [
        ("exp", -29.5, true),
        ("exp", -30.0, false),
        ("nbf", 30.0, true),
        ("nbf", 30.5, false),
        ("iat", 30.0, true),
        ("iat", 31.0, false),
        ("nbf", -1000.0, true),
    ] {
        let token = server.ed.sign(&with(claims(), claim, json!(NOW + seconds)));
        assert_eq!(server.ask(&token).await.is_ok(), accepted, "{claim} {seconds}");
    }
}

#[tokio::test]
async fn a_token_that_was_accepted_is_refused_once_it_has_expired() {
    let server = Server::new();
    let token = server.ed.sign(&claims());
    for (seconds, expected) in [(0.0, None), (329.0, None), (330.0, Some(Refused::Expired)), (0.0, None)] {
        let answer = server.authenticator.authenticate_at(&token, NOW + seconds).await;
        assert_eq!(answer.err(), expected, "{seconds}");
    }
}

#[tokio::test]
async fn roles_are_a_list_or_words_at_a_configured_place() {
    for (path, value, expected) in [
        ("roles", json!({"roles": ["a", "b"]}), vec!["a", "b"]),
        ("scope", json!({"scope": "a b"}), vec!["a", "b"]),
        ("realm_access.roles", json!({"realm_access": {"roles": ["a"]}}), vec!["a"]),
        ("https://x.org/roles", json!({"https://x.org/roles": ["a"]}), vec!["a"]),
        ("realm_access.roles", json!({"realm_access": {}}), vec![]),
        ("groups", json!({}), vec![]),
        ("roles", json!({"roles": null}), vec![]),
    ] {
        let server = Server::with(|issuer| issuer.roles_claim = path.to_owned());
        let mut all = claims();
        all["roles"] = json!(["other"]);
        all.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        let caller = server.ask(&server.ed.sign(&all)).await.unwrap();
        assert_eq!(caller.rights, Rights::Roles(expected.into_iter().map(str::to_owned).collect()), "{path}");
    }
}

#[tokio::test]
async fn an_api_key_counts_until_it_expires_or_is_revoked() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("keys.json");
    let at = |seconds: f64| jiff::Timestamp::from_second(seconds as i64).unwrap();
    let make = |path: &Path, name: &str, expires_at| {
        let grants = vec!["commands.*".parse().unwrap()];
        let new = crate::NewApiKey { name: name.to_owned(), grants, expires_at };
        crate::ApiKeyFile::create(path, new, at(NOW)).unwrap().0
    };
    let (lasting, short) = (make(&path, "lasting", None), make(&path, "short", Some(at(NOW + 60.0))));
    let mut auth = Config::embedded().auth;
    auth.api_keys.clone_from(&path);
    let server = Authenticator::load(&auth, &no_fetch()).unwrap();
    assert_eq!(server.authenticate_at(&lasting, NOW).await.unwrap().subject, "key:lasting");
    assert_eq!(server.authenticate_at(&short, NOW + 59.0).await.unwrap().subject, "key:short");
    assert_eq!(server.authenticate_at(&short, NOW + 60.0).await, Err(Refused::ExpiredApiKey));
    let mut forged = lasting.clone();
    forged.pop();
    for unknown in [forged.as_str(), "dmk_", "dmk_a", "dmk_a_b", &format!("{lasting}x"), &lasting.to_uppercase()] {
        assert!(server.authenticate_at(unknown, NOW).await.is_err(), "{unknown}");
    }

    let of_lasting = server.authenticate_at(&lasting, NOW).await;
    assert!(server.still_counts(&of_lasting.clone().unwrap()));
    crate::ApiKeyFile::revoke(&path, "lasting", at(NOW)).unwrap();
    server.read_again().await;
    assert!(!server.still_counts(&of_lasting.unwrap()), "it was revoked");
    assert_eq!(server.authenticate_at(&lasting, NOW).await, Err(Refused::UnknownApiKey));
    assert!(server.authenticate_at(&short, NOW).await.is_ok());
    std::fs::write(&path, "damaged").unwrap();
    server.read_again().await;
    assert!(server.authenticate_at(&short, NOW).await.is_ok(), "known keys stay in use");
}

#[tokio::test]
async fn credentials_are_new_once() {
    let server = Server::new();
    let token = server.ed.sign(&claims());
    let caller = server.authenticator.accept_at(&token, NOW).await.unwrap();
    assert_eq!((caller.is_first, caller.caller.issuer.as_deref()), (true, Some(ISSUER)));
    assert!(!server.authenticator.accept_at(&token, NOW).await.unwrap().is_first);
    assert!(server.authenticator.accept_at(&server.rsa.sign(&claims()), NOW).await.unwrap().is_first);
}

#[tokio::test]
async fn changes_of_the_api_keys_are_told() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("keys.json");
    let make = |name: &str| {
        let new = crate::NewApiKey { name: name.to_owned(), grants: Vec::new(), expires_at: None };
        crate::ApiKeyFile::create(&path, new, jiff::Timestamp::UNIX_EPOCH).unwrap()
    };
    let (secret, kept) = make("kept");
    let (_, gone) = make("gone");
    let mut auth = Config::embedded().auth;
    auth.api_keys.clone_from(&path);
    let server = Authenticator::load(&auth, &no_fetch()).unwrap();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    server.on_key_changes(move |changes| list.lock().unwrap().push(changes.clone()));
    let is_first = async || server.accept_at(&secret, NOW).await.unwrap().is_first;
    assert!(is_first().await && !is_first().await);

    server.read_again().await;
    assert!(told.lock().unwrap().is_empty(), "nothing has changed");
    crate::ApiKeyFile::revoke(&path, "gone", jiff::Timestamp::UNIX_EPOCH).unwrap();
    let (_, new) = make("new");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"expires_at\": null", "\"expires_at\": \"2100-01-01T00:00:00Z\"", 1))
        .unwrap();
    server.read_again().await;
    let expected = ApiKeyChanges { added: vec![new.id], removed: vec![gone.id], changed: vec![kept.id] };
    assert_eq!(*told.lock().unwrap(), [expected]);
    assert!(!is_first().await, "it was used before the file was read again");
}

#[test]
fn keys_that_cannot_be_used_are_refused_at_the_start() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("keys");
    let small = json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}).to_string();
    let other_curve = json!({"keys": [{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}]}).to_string();
    let secret = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}).to_string();
    let (private, foreign) = (Signer::ed("x").private_pem(), "-----BEGIN X-----\nAA==\n-----END X-----\n");
    for (jwks, content, problem) in [
        (true, "", "it is no JSON Web Key Set"),
        (true, r#"{"keys": []}"#, "it has no key for RS256, ES256 or EdDSA"),
        (true, &small, "its key 0 the RSA key has fewer than 2048 bits"),
        (true, &other_curve, "it has no key for"),
        (true, &secret, "it has no key for"),
        (false, foreign, "the file has no public key in PEM format"),
        (false, &private, "the file has a private key"),
    ] {
        std::fs::write(&path, content).unwrap();
        let mut auth = Config::embedded().auth;
        auth.jwt = issuer(if jwks { Jwks::File(path.clone()) } else { Jwks::None });
        auth.jwt.public_key.clone_from(&path);
        let refused = Authenticator::load(&auth, &no_fetch()).err().unwrap();
        assert_eq!(refused.section, "auth.jwt");
        assert!(refused.problem.contains(problem), "{refused}");
    }
}
