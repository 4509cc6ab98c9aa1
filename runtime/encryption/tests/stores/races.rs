//! Several processes and many tasks at once.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{Place, seal, subject, unseal};

on_every_store! {
    all_get_the_same_key_of_a_new_subject,
    all_get_the_same_root_key_of_a_new_store,
    each_subject_can_be_read_while_others_are_made_and_forgotten,
}

const PROCESSES: usize = 4;

async fn all_get_the_same_key_of_a_new_subject(place: Place) {
    let barrier = Arc::new(Barrier::new(PROCESSES * 4));
    let mut tasks = JoinSet::new();
    for _ in 0..PROCESSES {
        let keys = place.keys().await;
        for _ in 0..4 {
            let (keys, barrier) = (keys.clone(), Arc::clone(&barrier));
            tasks.spawn(async move {
                barrier.wait().await;
                keys.data_key(&subject("ada")).await.unwrap().id()
            });
        }
    }
    let ids: HashSet<_> = tasks.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(place.store().await.counts().await.unwrap().live.values().sum::<u64>(), 2);
}

async fn all_get_the_same_root_key_of_a_new_store(place: Place) {
    let place = Arc::new(place);
    let mut tasks = JoinSet::new();
    for _ in 0..PROCESSES {
        let place = Arc::clone(&place);
        tasks.spawn(async move { place.keys().await.subject_hash(&subject("ada")) });
    }
    let hashes: HashSet<_> = tasks.join_all().await.into_iter().collect();
    assert_eq!(hashes.len(), 1);
}

async fn each_subject_can_be_read_while_others_are_made_and_forgotten(place: Place) {
    let mut tasks = JoinSet::new();
    for process in 0..PROCESSES {
        let keys = place.keys().await;
        tasks.spawn(async move {
            for number in 0..12 {
                let kept = subject(&format!("kept-{number}"));
                let sealed = seal(&keys.data_key(&kept).await.unwrap());
                let gone = subject(&format!("gone-{process}-{number}"));
                let key = keys.data_key(&gone).await.unwrap();
                keys.forget(&gone).await.unwrap();
                assert!(unseal(&seal(&key), &keys).is_err());
                let ids = dormouse_encryption::key_ids(&sealed).unwrap();
                assert!(unseal(&sealed, &keys.prefetch(ids).await.unwrap()).is_ok());
            }
        });
    }
    tasks.join_all().await;
    let counts = place.store().await.counts().await.unwrap();
    assert_eq!((counts.live.values().sum::<u64>(), counts.destroyed), (13, 48));
}
