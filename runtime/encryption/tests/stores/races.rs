//! Several processes and many tasks at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dormouse_encryption::DataKeys;
use tokio::sync::Barrier;
use tokio::task::{AbortHandle, JoinSet};

use crate::support::{Place, seal, subject, unseal};

on_every_store! {
    all_get_the_same_key_of_a_new_subject,
    all_get_the_same_root_key_of_a_new_store,
    a_crowd_gets_its_keys_although_some_callers_go_away,
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

async fn a_crowd_gets_its_keys_although_some_callers_go_away(place: Place) {
    const PERSONS: usize = 300;
    let processes = [place.keys().await, place.keys().await];
    let (mut tasks, mut given_up) = (JoinSet::new(), Vec::new());
    for person in 0..PERSONS {
        for keys in &processes {
            let ask = |keys: DataKeys| async move {
                (person, keys.data_key(&subject(&format!("person-{person}"))).await.unwrap().id())
            };
            tasks.spawn(ask(keys.clone()));
            given_up.push(tasks.spawn(ask(keys.clone())));
        }
    }
    tokio::task::yield_now().await;
    given_up.iter().for_each(AbortHandle::abort);
    let mut ids = HashMap::new();
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok((person, id)) => assert_eq!(*ids.entry(person).or_insert(id), id),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
    }
    assert_eq!(ids.len(), PERSONS);
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
