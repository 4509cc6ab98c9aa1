//! Views come to be, and are built anew when their code has another version.

use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, CommitError, Offset};

use crate::support::{Place, first, key, offset, row, step, view};

on_every_store! {
    a_new_view_is_at_the_start,
    preparing_again_changes_nothing,
    a_view_of_another_version_is_empty_and_at_the_start,
    a_worker_of_another_version_cannot_move_a_view,
    fields_may_change_without_a_new_version,
    what_was_never_prepared_is_not_there,
}

async fn a_new_view_is_at_the_start(place: Place) {
    assert_eq!(place.store().await.prepare(&first()).await.unwrap(), Offset::START);
}

async fn preparing_again_changes_nothing(place: Place) {
    let (store, view) = (place.store().await, first());
    store.prepare(&view).await.unwrap();
    store.commit(&view, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
    for store in [store, place.store().await] {
        assert_eq!(store.prepare(&view).await.unwrap(), offset(1));
        assert!(store.get(&view, &key("a")).await.unwrap().document.is_some());
    }
}

async fn a_view_of_another_version_is_empty_and_at_the_start(place: Place) {
    let store = place.store().await;
    store.prepare(&first()).await.unwrap();
    store.commit(&first(), Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
    let newer = view::<1, 2, 1>();
    assert_eq!(store.prepare(&newer).await.unwrap(), Offset::START);
    assert_eq!(store.get(&newer, &key("a")).await.unwrap().document, None);
}

async fn a_worker_of_another_version_cannot_move_a_view(place: Place) {
    let store = place.store().await;
    store.prepare(&first()).await.unwrap();
    store.prepare(&view::<1, 2, 1>()).await.unwrap();
    let refused = store.commit(&first(), step(0, 1)).await.unwrap_err();
    assert_eq!(refused, CommitError::Moved { expected: Position(0), found: None });
}

async fn fields_may_change_without_a_new_version(place: Place) {
    let store = place.store().await;
    store.prepare(&first()).await.unwrap();
    let rows = vec![row("a", r#"{"status":"open","customer":{"age":7},"paid":true}"#, 1)];
    store.commit(&first(), Advance { rows, ..step(0, 1) }).await.unwrap();
    for view in [view::<1, 1, 2>(), view::<1, 1, 0>(), first()] {
        assert_eq!(store.prepare(&view).await.unwrap(), offset(1));
        assert!(store.get(&view, &key("a")).await.unwrap().document.is_some());
    }
}

async fn what_was_never_prepared_is_not_there(place: Place) {
    let (store, missing) = (place.store().await, first());
    assert!(store.get(&missing, &key("a")).await.is_err());
    assert!(store.load(&missing, &[key("a")]).await.is_err());
    assert!(store.commit(&missing, step(0, 1)).await.is_err());
    // To ask for it harms nobody else.
    let other = view::<2, 1, 0>();
    store.prepare(&other).await.unwrap();
    store.commit(&other, step(0, 1)).await.unwrap();
    assert!(store.get(&missing, &key("a")).await.is_err());
    assert_eq!(store.prepare(&missing).await.unwrap(), Offset::START);
    assert_eq!(store.prepare(&other).await.unwrap(), offset(1));
}
