//! Forgetting a subject.

use std::sync::Arc;
use std::time::Duration;

use dormouse_encryption::{Certificate, Error, KeyState, OpenError};
use tokio::task::JoinSet;

use crate::paused::Paused;
use crate::support::{Place, seal, subject, unseal};

/// After this time, what does not happen will not happen.
const BOUND: Duration = Duration::from_secs(60);

on_every_store! {
    what_was_sealed_for_a_forgotten_subject_is_forgotten_everywhere,
    a_second_subject_is_untouched,
    forgetting_again_destroys_nothing_and_says_so,
    a_subject_that_was_never_known_has_an_empty_certificate,
    what_is_sealed_after_it_has_a_new_key,
    a_key_that_was_being_loaded_does_not_stay_in_memory,
    a_key_that_was_being_made_does_not_stay_in_memory,
    a_caller_that_does_not_wait_changes_nothing,
    many_subjects_are_forgotten_at_once,
}

async fn what_was_sealed_for_a_forgotten_subject_is_forgotten_everywhere(place: Place) {
    let keys = place.keys().await;
    let key = keys.data_key(&subject("ada")).await.unwrap();
    let sealed = seal(&key);
    let certificate = keys.forget(&subject("ada")).await.unwrap();
    assert_eq!((certificate.destroyed, certificate.keys.len(), certificate.keys[0].id), (1, 1, key.id()));
    assert_eq!(certificate.subject_hash, keys.subject_hash(&subject("ada")));
    assert_eq!(certificate.keys[0].destroyed_at, certificate.forgotten_at);

    let forgotten = Err(OpenError::Forgotten { key: key.id() });
    assert_eq!(unseal(&sealed, &keys), forgotten, "here, where the key was cached");
    let other = place.keys().await;
    assert_eq!(unseal(&sealed, &other.prefetch([key.id()]).await.unwrap()), forgotten, "in another process");

    let text = serde_json::to_string(&certificate).unwrap();
    assert_eq!(serde_json::from_str::<Certificate>(&text).unwrap(), certificate);
    assert!(!text.contains("learner") && text.contains(&key.id().to_string()), "{text}");
}

async fn a_second_subject_is_untouched(place: Place) {
    let keys = place.keys().await;
    keys.data_key(&subject("ada")).await.unwrap();
    let bob = keys.data_key(&subject("bob")).await.unwrap();
    let sealed = seal(&bob);
    keys.forget(&subject("ada")).await.unwrap();
    assert!(unseal(&sealed, &keys).is_ok());
    assert!(unseal(&sealed, &place.keys().await.prefetch([bob.id()]).await.unwrap()).is_ok());
    assert_eq!(keys.data_key(&subject("bob")).await.unwrap().id(), bob.id());
}

async fn forgetting_again_destroys_nothing_and_says_so(place: Place) {
    let keys = place.keys().await;
    keys.data_key(&subject("ada")).await.unwrap();
    let first = keys.forget(&subject("ada")).await.unwrap();
    let second = keys.forget(&subject("ada")).await.unwrap();
    assert_eq!((second.destroyed, &second.keys), (0, &first.keys));
}

async fn a_subject_that_was_never_known_has_an_empty_certificate(place: Place) {
    let certificate = place.keys().await.forget(&subject("nobody")).await.unwrap();
    assert_eq!((certificate.destroyed, certificate.keys), (0, vec![]));
}

async fn what_is_sealed_after_it_has_a_new_key(place: Place) {
    let (keys, other) = (place.keys().await, place.keys().await);
    let before = keys.data_key(&subject("ada")).await.unwrap();
    keys.forget(&subject("ada")).await.unwrap();
    let after = keys.data_key(&subject("ada")).await.unwrap();
    assert_ne!(before.id(), after.id());
    assert_eq!(other.data_key(&subject("ada")).await.unwrap().id(), after.id());
    assert!(unseal(&seal(&after), &keys).is_ok());
    let certificate = keys.forget(&subject("ada")).await.unwrap();
    assert_eq!((certificate.destroyed, certificate.keys.len()), (1, 2));
}

async fn a_key_that_was_being_loaded_does_not_stay_in_memory(place: Place) {
    let id = place.keys().await.data_key(&subject("ada")).await.unwrap().id();
    let paused = Paused::new(place.store().await);
    let keys = paused.keys(&place).await;
    paused.pause();
    let loading = {
        let keys = keys.clone();
        tokio::spawn(async move { keys.prefetch([id]).await })
    };
    paused.wait_until_something_was_read().await;
    keys.forget(&subject("ada")).await.unwrap();
    paused.go_on();
    loading.await.unwrap().unwrap();
    assert!(matches!(keys.get(id), Some(KeyState::Destroyed)));
}

async fn a_key_that_was_being_made_does_not_stay_in_memory(place: Place) {
    let before = place.keys().await.data_key(&subject("ada")).await.unwrap().id();
    let paused = Paused::new(place.store().await);
    let keys = paused.keys(&place).await;
    paused.pause();
    let making = {
        let keys = keys.clone();
        tokio::spawn(async move { keys.data_key(&subject("ada")).await })
    };
    paused.wait_until_something_was_read().await;
    keys.forget(&subject("ada")).await.unwrap();
    paused.go_on();
    assert_eq!(making.await.unwrap().unwrap().id(), before, "it was asked for before");
    assert_ne!(keys.data_key(&subject("ada")).await.unwrap().id(), before);
    assert!(matches!(keys.get(before), Some(KeyState::Destroyed)));
}

async fn a_caller_that_does_not_wait_changes_nothing(place: Place) {
    let paused = Paused::new(place.store().await);
    let keys = paused.keys(&place).await;
    let id = keys.data_key(&subject("ada")).await.unwrap().id();
    paused.pause_destroying();
    let forgetting = {
        let keys = keys.clone();
        tokio::spawn(async move { keys.forget(&subject("ada")).await })
    };
    paused.wait_until_something_was_destroyed().await;
    forgetting.abort();
    assert!(forgetting.await.is_err());
    paused.go_on();
    let forgotten = async {
        while !matches!(keys.get(id), Some(KeyState::Destroyed)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, forgotten).await.expect("it goes on without its caller");
}

async fn many_subjects_are_forgotten_at_once(place: Place) {
    let keys = place.keys().await;
    let mut tasks = JoinSet::new();
    for number in 0..32 {
        let keys = keys.clone();
        tasks.spawn(async move {
            let subject = subject(&(number % 8).to_string());
            let key = keys.data_key(&subject).await?;
            let certificate = keys.forget(&subject).await?;
            assert!(certificate.keys.iter().any(|destroyed| destroyed.id == key.id()));
            Ok::<_, Error>(certificate.destroyed)
        });
    }
    let destroyed: usize = tasks.join_all().await.into_iter().map(Result::unwrap).sum();
    let counts = keys.counts().await.unwrap();
    assert_eq!((destroyed as u64, counts.live.values().sum::<u64>()), (counts.destroyed, 1), "the root key is left");
    assert!(destroyed >= 8);
}

#[test]
fn keys_can_be_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<dormouse_encryption::DataKeys>();
    shared::<Arc<dormouse_encryption::DataKey>>();
}
