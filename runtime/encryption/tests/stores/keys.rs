//! The keys of a process.

use std::sync::Arc;

use dormouse_encryption::{
    DataKeys, EqualityKey, Error, FindKey, KeyState, OpenError, Opened, Options, WrapError, WrapKeys, WrappingKeyFile,
};

use crate::support::{Place, has_bytes, id, seal, subject, unseal};

on_every_store! {
    each_subject_has_its_own_key,
    two_processes_have_the_same_keys,
    what_one_process_sealed_another_opens_after_it_loaded_the_key,
    a_key_that_does_not_exist_is_not_taken_for_a_forgotten_one,
    equal_values_of_one_field_have_equal_hashes,
    wrapping_keys_of_another_store_are_refused,
    more_keys_than_are_cached_are_loaded,
}

const SEALED: Opened = Opened { values: 1, forgotten: 0 };

async fn each_subject_has_its_own_key(place: Place) {
    let keys = place.keys().await;
    let (ada, bob) = (keys.data_key(&subject("ada")).await.unwrap(), keys.data_key(&subject("bob")).await.unwrap());
    assert_ne!(ada.id(), bob.id());
    assert_eq!(keys.data_key(&subject("ada")).await.unwrap().id(), ada.id());
    assert_eq!(unseal(&seal(&ada), &keys), Ok(SEALED));
    assert_eq!(keys.counts().await.unwrap().live.values().sum::<u64>(), 3, "with the root key");
}

async fn two_processes_have_the_same_keys(place: Place) {
    let (one, other) = (place.keys().await, place.keys().await);
    let ada = subject("ada");
    assert_eq!(one.subject_hash(&ada), other.subject_hash(&ada));
    assert_eq!(one.data_key(&ada).await.unwrap().id(), other.data_key(&ada).await.unwrap().id());
    let (here, there) = (one.equality_key("learners.email"), other.equality_key("learners.email"));
    assert_eq!(here.hash(b"a@b.c"), there.hash(b"a@b.c"));
}

async fn what_one_process_sealed_another_opens_after_it_loaded_the_key(place: Place) {
    let (one, other) = (place.keys().await, place.keys().await);
    let key = one.data_key(&subject("ada")).await.unwrap();
    let sealed = seal(&key);
    assert_eq!(unseal(&sealed, &other), Err(OpenError::NoKey { key: key.id() }));
    let keyring = other.prefetch([key.id(), key.id()]).await.unwrap();
    assert_eq!(keyring.len(), 1);
    assert_eq!(unseal(&sealed, &keyring), Ok(SEALED));
    assert_eq!(unseal(&sealed, &other), Ok(SEALED));
}

async fn a_key_that_does_not_exist_is_not_taken_for_a_forgotten_one(place: Place) {
    let keys = place.keys().await;
    let keyring = keys.prefetch([id(7)]).await.unwrap();
    assert!(keyring.find_key(id(7)).is_none());
    assert!(keys.get(id(7)).is_none());
}

async fn equal_values_of_one_field_have_equal_hashes(place: Place) {
    let keys = place.keys().await;
    let (email, phone) = (keys.equality_key("learners.email"), keys.equality_key("learners.phone"));
    let hash = |key: &EqualityKey, value: &str| key.hash(value.as_bytes());
    assert_eq!(hash(&email, "a@b.c"), hash(&email, "a@b.c"));
    assert_ne!(hash(&email, "a@b.c"), hash(&email, "a@b.d"));
    assert_ne!(hash(&email, "a@b.c"), hash(&phone, "a@b.c"));
    assert_eq!(hash(&email, "a@b.c").as_str().len(), 22);
    assert_eq!(format!("{email:?}"), "EqualityKey(***)");
}

async fn wrapping_keys_of_another_store_are_refused(place: Place) {
    place.keys().await.data_key(&subject("ada")).await.unwrap();
    let other = Place::memory();
    let wrapping: Arc<dyn WrapKeys> = Arc::new(WrappingKeyFile::open(&other.wrapping_path()).unwrap());
    let refused = DataKeys::open(place.store().await, wrapping, Options::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Wrap(WrapError::Missing(_))), "{refused:?}");
    assert!(!refused.is_transient());
}

async fn more_keys_than_are_cached_are_loaded(place: Place) {
    const KEYS: usize = 300;
    const CACHED: usize = 10;
    /// The cache drops keys that are too many once it has noted as many additions.
    const NOTED: usize = 64;
    let wrapping: Arc<dyn WrapKeys> = Arc::new(WrappingKeyFile::open(&place.wrapping_path()).unwrap());
    let options = Options { cached_keys: CACHED as u64, ..Options::default() };
    let keys = DataKeys::open(place.store().await, wrapping, options).await.unwrap();
    let mut ids = Vec::new();
    for number in 0..KEYS {
        ids.push(keys.data_key(&subject(&number.to_string())).await.unwrap().id());
    }
    let keyring = keys.prefetch(ids.clone()).await.unwrap();
    assert!(ids.iter().all(|id| matches!(keyring.find_key(*id), Some(KeyState::Live(_)))));
    let dropped = ids.iter().filter(|id| keys.get(**id).is_none()).count();
    assert!(dropped >= KEYS - (CACHED + NOTED), "the cache is bounded, but only {dropped} keys were dropped");
}

#[tokio::test]
async fn a_dump_without_the_wrapping_keys_names_nobody() {
    let place = Place::sqlite();
    let keys = place.keys().await;
    let key = keys.data_key(&subject("ada-lovelace")).await.unwrap();
    let directory = place.directory();
    assert!(has_bytes(&directory, key.id().as_bytes()), "the search finds what is there");
    assert!(has_bytes(&directory, keys.subject_hash(&subject("ada-lovelace")).as_bytes()));
    assert!(!has_bytes(&directory, b"lovelace"));
    let unkeyed = blake3::hash(subject("ada-lovelace").as_str().as_bytes());
    assert!(!has_bytes(&directory, unkeyed.as_bytes()), "a guess cannot be checked");
}
