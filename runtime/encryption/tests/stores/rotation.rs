//! Rotation of the wrapping key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dormouse_encryption::{DataKeys, Error, Options, Rotated, RotationProgress, WrapError, WrapKeys, WrappingKeyFile};

use crate::support::{Place, seal, subject, unseal};

on_every_store! {
    the_old_wrapping_key_can_be_removed_afterwards,
    a_missing_wrapping_key_is_named,
    a_rotation_loses_nothing_that_is_read_made_or_forgotten_meanwhile,
    a_rotation_that_was_interrupted_goes_on,
    subjects_keep_their_hashes,
}

/// So many subjects are forgotten during a rotation.
const FORGOTTEN: usize = 20;

/// Keys of this many subjects, and a value sealed for each of them.
async fn filled(keys: &DataKeys, subjects: usize) -> Vec<Vec<u8>> {
    let mut sealed = Vec::new();
    for number in 0..subjects {
        sealed.push(seal(&keys.data_key(&subject(&number.to_string())).await.unwrap()));
    }
    sealed
}

async fn assert_all_opened(keys: &DataKeys, sealed: &[Vec<u8>]) {
    let ids = sealed.iter().flat_map(|sealed| dormouse_encryption::key_ids(sealed).unwrap());
    let keyring = keys.prefetch(ids).await.unwrap();
    assert!(sealed.iter().all(|sealed| unseal(sealed, &keyring).is_ok()));
}

async fn the_old_wrapping_key_can_be_removed_afterwards(place: Place) {
    let (keys, wrapping) = place.keys_and_wrapping().await;
    let sealed = filled(&keys, 600).await;
    let new = place.new_wrapping_key();
    wrapping.reload().unwrap();
    let mut bar = Vec::new();
    let rotated = keys.rotate(|progress| bar.push(progress)).await.unwrap();
    assert_eq!(rotated, Rotated { rewrapped: 601, remaining: 0 });
    assert!(bar.is_sorted_by_key(|progress| progress.done), "{bar:?}");
    assert_eq!(bar.last(), Some(&RotationProgress { done: 601, total: 601 }));
    let counts = keys.counts().await.unwrap().live;
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(new, 601)]);

    place.remove_old_wrapping_keys();
    let later = place.keys().await;
    assert_all_opened(&later, &sealed).await;
    assert_eq!(later.rotate(|_| {}).await.unwrap(), Rotated::default(), "there is nothing more to do");
}

async fn a_missing_wrapping_key_is_named(place: Place) {
    let (keys, wrapping) = place.keys_and_wrapping().await;
    let old = wrapping.current();
    let id = keys.data_key(&subject("ada")).await.unwrap().id();
    place.new_wrapping_key();
    place.remove_old_wrapping_keys();
    let file: Arc<dyn WrapKeys> = Arc::new(WrappingKeyFile::open(&place.wrapping_path()).unwrap());
    let refused = DataKeys::open(place.store().await, file, Options::default()).await.unwrap_err();
    assert_eq!(refused, Error::Wrap(WrapError::Missing(old.clone())));
    assert!(refused.to_string().contains(old.as_str()), "{refused}");
    // The keys that are in memory can still be used; others cannot, and a rotation says the same.
    wrapping.reload().unwrap();
    assert!(keys.get(id).is_some());
    assert_eq!(keys.rotate(|_| {}).await.unwrap_err(), Error::Wrap(WrapError::Missing(old)));
}

async fn a_rotation_loses_nothing_that_is_read_made_or_forgotten_meanwhile(place: Place) {
    let (keys, wrapping) = place.keys_and_wrapping().await;
    // This process wraps with the old key, until it meets a key that the new one has wrapped.
    let behind = place.keys().await;
    let before = filled(&keys, 300).await;
    place.new_wrapping_key();
    wrapping.reload().unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let work = |keys: DataKeys, name: &'static str| {
        let (is_done, before) = (Arc::clone(&is_done), before.clone());
        tokio::spawn(async move {
            let mut made = Vec::new();
            while made.len() < 3 || !is_done.load(Ordering::SeqCst) {
                let number = made.len();
                made.push(seal(&keys.data_key(&subject(&format!("{name}-{number}"))).await.unwrap()));
                keys.forget(&subject(&format!("{name}-{number}-gone"))).await.unwrap();
                let read = &before[FORGOTTEN + number % (before.len() - FORGOTTEN)];
                let ids = dormouse_encryption::key_ids(read).unwrap();
                assert!(unseal(read, &keys.prefetch(ids).await.unwrap()).is_ok());
            }
            made
        })
    };
    let workers = [work(keys.clone(), "new"), work(behind.clone(), "old")];
    // Forgotten keys do not come back.
    let forgetting = async {
        for number in 0..FORGOTTEN {
            keys.forget(&subject(&number.to_string())).await.unwrap();
        }
    };
    let (rotated, ()) = tokio::join!(keys.rotate(|_| {}), forgetting);
    assert!(rotated.unwrap().rewrapped > 0);
    is_done.store(true, Ordering::SeqCst);
    let mut made = Vec::new();
    for worker in workers {
        made.extend(worker.await.unwrap());
    }
    // By now nobody wraps with the old key.
    assert_eq!(keys.rotate(|_| {}).await.unwrap().remaining, 0);
    place.remove_old_wrapping_keys();
    let later = place.keys().await;
    assert_all_opened(&later, &before[FORGOTTEN..]).await;
    assert_all_opened(&later, &made).await;
    let ids = before[..FORGOTTEN].iter().flat_map(|sealed| dormouse_encryption::key_ids(sealed).unwrap());
    let keyring = later.prefetch(ids).await.unwrap();
    assert!(before[..FORGOTTEN].iter().all(|sealed| unseal(sealed, &keyring).is_err()));
}

async fn a_rotation_that_was_interrupted_goes_on(place: Place) {
    let (keys, wrapping) = place.keys_and_wrapping().await;
    let sealed = filled(&keys, 600).await;
    place.new_wrapping_key();
    wrapping.reload().unwrap();
    let interrupted = {
        let keys = keys.clone();
        tokio::spawn(async move { keys.rotate(|progress| assert!(progress.done == 0, "the process ends here")).await })
    };
    assert!(interrupted.await.is_err());
    let left = keys.counts().await.unwrap().live.into_values().min().unwrap();
    assert!((1..601).contains(&left), "{left}");
    let rotated = keys.rotate(|_| {}).await.unwrap();
    assert!(rotated.rewrapped < 601 && rotated.remaining == 0, "{rotated:?}");
    place.remove_old_wrapping_keys();
    assert_all_opened(&place.keys().await, &sealed).await;
}

async fn subjects_keep_their_hashes(place: Place) {
    let (keys, wrapping) = place.keys_and_wrapping().await;
    let hash = keys.subject_hash(&subject("ada"));
    let equality = keys.equality_key("learners.email").hash(b"a@b.c");
    let id = keys.data_key(&subject("ada")).await.unwrap().id();
    place.new_wrapping_key();
    wrapping.reload().unwrap();
    keys.rotate(|_| {}).await.unwrap();
    place.remove_old_wrapping_keys();
    let later = place.keys().await;
    assert_eq!(later.subject_hash(&subject("ada")), hash);
    assert_eq!(later.data_key(&subject("ada")).await.unwrap().id(), id);
    assert_eq!(later.equality_key("learners.email").hash(b"a@b.c"), equality);
}
