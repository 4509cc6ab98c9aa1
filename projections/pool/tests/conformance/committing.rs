//! Rows and offset change together, and only from the position of the build.

use std::collections::BTreeMap;
use std::sync::Arc;

use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, CommitError, DocumentAt};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::{Place, begun, first, key, loaded, offset, row, second, served, step};

on_every_store! {
    a_committed_document_is_read,
    a_removed_document_is_missing,
    keys_without_documents_load_nothing,
    documents_with_more_bytes_than_the_limit_are_not_loaded,
    a_commit_from_another_position_changes_nothing,
    one_of_several_commits_from_the_same_position_succeeds,
    a_reader_never_sees_a_row_without_its_offset,
    every_document_and_key_is_read_as_it_was_written,
    views_are_independent,
    a_closed_store_refuses_every_call,
}

async fn a_committed_document_is_read(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    let rows = vec![row("a", r#"{"n":1}"#, 3), row("b", r#"{"n":2}"#, 2)];
    store.commit(&view, build, Advance { rows, ..step(0, 3) }).await.unwrap();
    store.commit(&view, build, Advance { rows: vec![row("b", "[]", 5)], ..step(3, 7) }).await.unwrap();
    let found = |document: &str, changed, at| DocumentAt {
        document: Some((document.into(), Position(changed))),
        at: Position(at),
    };
    assert_eq!(store.get(&view, &key("a")).await.unwrap(), found(r#"{"n":1}"#, 3, 7));
    assert_eq!(store.get(&view, &key("b")).await.unwrap(), found("[]", 5, 7));
    assert_eq!(store.get(&view, &key("c")).await.unwrap(), DocumentAt { document: None, at: Position(7) });
    assert_eq!(served(&store, &view).await, (build, offset(7)));
    // Another store on the same storage sees the same.
    assert_eq!(served(&place.store().await, &view).await, (build, offset(7)));
}

async fn a_removed_document_is_missing(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    let rows = vec![row("a", "1", 1), row("b", "2", 2), row("c", "3", 3)];
    store.commit(&view, build, Advance { rows, ..step(0, 3) }).await.unwrap();
    store.commit(&view, build, Advance { gone: vec![key("a"), key("c"), key("d")], ..step(3, 4) }).await.unwrap();
    assert_eq!(store.get(&view, &key("a")).await.unwrap(), DocumentAt { document: None, at: Position(4) });
    let found = loaded(&*store, &view, build, &["a", "b", "c", "d"].map(key)).await.unwrap();
    assert_eq!(found, [(key("b"), "2".to_owned())]);
}

async fn keys_without_documents_load_nothing(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    assert_eq!(loaded(&*store, &view, build, &[]).await.unwrap(), []);
    assert_eq!(loaded(&*store, &view, build, &[key("a")]).await.unwrap(), []);
}

async fn documents_with_more_bytes_than_the_limit_are_not_loaded(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    // More keys than a statement of SQLite takes.
    let keys: Vec<_> = (0..300).map(|number| key(&format!("{number:03}"))).collect();
    let document = serde_json::to_string(&"x".repeat(98)).unwrap();
    let rows = keys.iter().map(|key| row(key.as_str(), &document, 1)).collect();
    store.commit(&view, build, Advance { rows, ..step(0, 1) }).await.unwrap();
    let all = keys.len() * document.len();
    assert_eq!(store.load(&view, build, &keys, all).await.unwrap().unwrap().len(), keys.len());
    assert_eq!(store.load(&view, build, &keys, all - 1).await.unwrap(), None);
    assert_eq!(store.load(&view, build, &keys, 0).await.unwrap(), None);
    // A load that was given up half-way does not disturb later statements.
    assert_eq!(store.load(&view, build, &keys[7..9], 200).await.unwrap().unwrap().len(), 2);
    store.commit(&view, build, step(1, 2)).await.unwrap();
}

async fn a_commit_from_another_position_changes_nothing(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    store.commit(&view, build, Advance { rows: vec![row("a", "1", 5)], ..step(0, 5) }).await.unwrap();
    for from in [0, 4, 6] {
        let late = Advance { rows: vec![row("a", "2", 9)], gone: vec![key("b")], ..step(from, 9) };
        let refused = store.commit(&view, build, late).await.unwrap_err();
        assert_eq!(refused, CommitError::Moved { expected: Position(from), found: Some(Position(5)) });
    }
    let found = store.get(&view, &key("a")).await.unwrap();
    assert_eq!(found, DocumentAt { document: Some(("1".into(), Position(5))), at: Position(5) });
    store.commit(&view, build, step(5, 6)).await.unwrap();
}

async fn one_of_several_commits_from_the_same_position_succeeds(place: Place) {
    let view = first();
    let stores = [place.store().await, place.store().await];
    let build = begun(&stores[0], &view).await;
    for at in 0..20 {
        let movers: Vec<_> = (0..6)
            .map(|mover| {
                let (store, view) = (Arc::clone(&stores[mover % 2]), view.clone());
                let rows = vec![row("mover", &mover.to_string(), at + 1)];
                tokio::spawn(async move { store.commit(&view, build, Advance { rows, ..step(at, at + 1) }).await })
            })
            .collect();
        let mut winners = Vec::new();
        for (number, mover) in movers.into_iter().enumerate() {
            match mover.await.unwrap() {
                Ok(()) => winners.push(number.to_string()),
                Err(error) => assert!(matches!(error, CommitError::Moved { .. }), "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        let found = stores[1].get(&view, &key("mover")).await.unwrap();
        assert_eq!(found.document.unwrap().0.as_ref(), winners[0]);
    }
}

async fn a_reader_never_sees_a_row_without_its_offset(place: Place) {
    const STEPS: u64 = 300;

    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, view) = (Arc::clone(&store), view.clone());
            tokio::spawn(async move {
                let mut last = Position::ZERO;
                while last < Position(STEPS) {
                    let DocumentAt { document, at } = store.get(&view, &key("n")).await.unwrap();
                    assert!(at >= last);
                    last = at;
                    // Every step writes its number.
                    assert_eq!(document.map_or(0, |(document, _)| document.parse::<u64>().unwrap()), at.0);
                }
            })
        })
        .collect();
    for number in 1..=STEPS {
        let rows = vec![row("n", &number.to_string(), number)];
        store.commit(&view, build, Advance { rows, ..step(number - 1, number) }).await.unwrap();
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

async fn every_document_and_key_is_read_as_it_was_written(place: Place) {
    // The worker refuses a document with NUL before it calls a store.
    fn text() -> impl Strategy<Value = String> {
        any::<String>().prop_map(|text| text.replace('\0', "\\u0000"))
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            text().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(text(), inner, 0..4)
                    .prop_map(|map| { serde_json::Value::Object(map.into_iter().collect()) }),
            ]
        })
    }

    let (store, view) = (place.store().await, second());
    let build = begun(&store, &view).await;
    let mut runner = TestRunner::deterministic();
    let documents = prop::collection::btree_map("[^\0]{1,20}", json(), 1..30);
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    for number in 0..40 {
        let batch = documents.new_tree(&mut runner).unwrap().current();
        let batch: BTreeMap<String, String> = batch.into_iter().map(|(key, json)| (key, json.to_string())).collect();
        let rows = batch.iter().map(|(key, json)| row(key, json, number + 1)).collect();
        store.commit(&view, build, Advance { rows, ..step(number, number + 1) }).await.unwrap();
        expected.extend(batch);
    }
    let keys: Vec<_> = expected.keys().map(|name| key(name)).collect();
    let found = loaded(&*store, &view, build, &keys).await.unwrap();
    let loaded: BTreeMap<String, String> = found.into_iter().map(|(key, json)| (key.to_string(), json)).collect();
    assert_eq!(loaded, expected);
    for (name, json) in &expected {
        assert_eq!(store.get(&view, &key(name)).await.unwrap().document.unwrap().0.as_ref(), *json);
    }
}

async fn views_are_independent(place: Place) {
    let (store, one, other) = (place.store().await, first(), second());
    let (first_build, second_build) = (begun(&store, &one).await, begun(&store, &other).await);
    store.commit(&one, first_build, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
    store.commit(&other, second_build, Advance { rows: vec![row("a", "2", 4)], ..step(0, 4) }).await.unwrap();
    begun(&store, &one).await;
    assert_eq!(store.get(&one, &key("a")).await.unwrap(), DocumentAt { document: None, at: Position(0) });
    let found = store.get(&other, &key("a")).await.unwrap();
    assert_eq!(found, DocumentAt { document: Some(("2".into(), Position(4))), at: Position(4) });
}

async fn a_closed_store_refuses_every_call(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    store.close().await;
    assert!(store.prepare(&view).await.is_err());
    assert!(store.get(&view, &key("a")).await.is_err());
    assert!(loaded(&*store, &view, build, &[key("a")]).await.is_err());
    assert!(store.commit(&view, build, step(0, 1)).await.is_err());
}
