//! Keys that change while tokens arrive.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::advance;

use super::*;

/// An issuer with an address.
#[derive(Clone, Default)]
struct Provider {
    /// What it answers. `None`: it is away.
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicU32>,
}

impl Provider {
    fn publishes(&self, signers: &[&Signer]) {
        *self.answer.lock().unwrap() = Some(key_set(signers));
    }

    fn is_away(&self) {
        *self.answer.lock().unwrap() = None;
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    fn server(&self) -> Authenticator {
        let provider = self.clone();
        let fetch: FetchKeys = Arc::new(move |url| {
            assert_eq!(url, "https://issuer.example/keys");
            provider.asked.fetch_add(1, Ordering::SeqCst);
            let answer = provider.answer.lock().unwrap().clone();
            answer.map(String::into_bytes).ok_or_else(|| "connection refused".to_owned())
        });
        let mut auth = Config::embedded().auth;
        auth.jwt = issuer(Jwks::Url("https://issuer.example/keys".to_owned()));
        Authenticator::load(&auth, &fetch).unwrap()
    }
}

async fn ask(server: &Authenticator, token: &str) -> Result<(), Refused> {
    server.authenticate_at(token, NOW).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_asked_for_when_its_first_token_arrives() {
    let (provider, one, two) = (Provider::default(), Signer::ed("1"), Signer::ed("2"));
    provider.publishes(&[&one]);
    let server = provider.server();
    assert_eq!(ask(&server, &one.sign(&claims())).await, Ok(()));
    advance(Duration::from_secs(10)).await;
    provider.publishes(&[&one, &two]);
    assert_eq!(ask(&server, &two.sign(&claims())).await, Ok(()));
    assert_eq!((ask(&server, &one.sign(&claims())).await, provider.asked()), (Ok(()), 2));
}

#[tokio::test(start_paused = true)]
async fn invented_keys_make_the_server_ask_at_most_every_ten_seconds() {
    let (provider, one) = (Provider::default(), Signer::ed("1"));
    provider.publishes(&[&one]);
    let server = Arc::new(provider.server());
    assert_eq!(ask(&server, &one.sign(&claims())).await, Ok(()));
    let invented: Vec<String> = (0..50).map(|_| Signer::ed("x").sign(&claims())).collect();
    for round in 1..4 {
        let asking = invented.iter().map(|token| {
            let (server, token) = (Arc::clone(&server), token.clone());
            tokio::spawn(async move { ask(&server, &token).await })
        });
        for answer in asking.collect::<Vec<_>>() {
            assert_eq!(answer.await.unwrap(), Err(Refused::UnknownKey));
        }
        assert_eq!(provider.asked(), 1 + round);
        assert_eq!(ask(&server, &one.sign(&claims())).await, Ok(()));
        advance(Duration::from_secs(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn known_keys_stay_in_use_while_the_issuer_is_away() {
    let (provider, one) = (Provider::default(), Signer::ed("1"));
    provider.publishes(&[&one]);
    let server = Arc::new(provider.server());
    tokio::spawn(Arc::clone(&server).keep_current());
    assert_eq!(ask(&server, &one.sign(&claims())).await, Ok(()));
    provider.is_away();
    for minute in 0..60 {
        advance(Duration::from_secs(60)).await;
        // Another token each time: none of them is remembered.
        let token = one.sign(&with(claims(), "jti", json!(minute)));
        assert_eq!(ask(&server, &token).await, Ok(()), "minute {minute}");
    }
    *provider.answer.lock().unwrap() = Some("not a key set".to_owned());
    advance(Duration::from_secs(700)).await;
    assert_eq!(ask(&server, &one.sign(&with(claims(), "jti", json!("last")))).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_withdrawn_key_is_refused_although_it_was_accepted_before() {
    let (provider, one, two) = (Provider::default(), Signer::ed("1"), Signer::ed("2"));
    provider.publishes(&[&one, &two]);
    let server = provider.server();
    let token = one.sign(&claims());
    assert_eq!(ask(&server, &token).await, Ok(()));
    provider.publishes(&[&two]);
    server.read_again().await;
    assert_eq!(ask(&server, &token).await, Err(Refused::UnknownKey));
    assert_eq!(ask(&server, &two.sign(&claims())).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn while_no_key_was_ever_read_the_refusal_is_temporary() {
    let (provider, one) = (Provider::default(), Signer::ed("1"));
    let server = provider.server();
    let refused = ask(&server, &one.sign(&claims())).await.unwrap_err();
    assert!(refused.is_temporary(), "{refused}");
    provider.publishes(&[&one]);
    advance(Duration::from_secs(10)).await;
    assert_eq!(ask(&server, &one.sign(&claims())).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_file_with_other_keys_is_used_from_then_on() {
    let (one, two) = (Signer::ed("1"), Signer::ed("2"));
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("jwks.json");
    std::fs::write(&path, key_set(&[&one])).unwrap();
    let mut auth = Config::embedded().auth;
    auth.jwt = issuer(Jwks::File(path.clone()));
    let server = Authenticator::load(&auth, &no_fetch()).unwrap();
    assert_eq!(ask(&server, &one.sign(&claims())).await, Ok(()));
    assert_eq!(ask(&server, &two.sign(&claims())).await, Err(Refused::UnknownKey));
    std::fs::write(&path, key_set(&[&two])).unwrap();
    server.read_again().await;
    assert_eq!(ask(&server, &one.sign(&claims())).await, Err(Refused::UnknownKey));
    assert_eq!(ask(&server, &two.sign(&claims())).await, Ok(()));
    std::fs::remove_file(&path).unwrap();
    server.read_again().await;
    assert_eq!(ask(&server, &two.sign(&claims())).await, Ok(()));
}
