//! Builds are begun beside the served one or instead of it, take its place, and are dropped.

use dormouse_kernel::{Mark, Position};
use dormouse_projections::store::{Advance, Begin, Build, Builds, CommitError, Offset};

use crate::support::{Place, begun, first, key, loaded, offset, row, served, step, view};

on_every_store! {
    the_begin_of_a_build_is_stored,
    a_new_view_has_no_builds,
    the_first_build_is_served_at_once,
    preparing_again_changes_nothing,
    readers_do_not_see_a_build_beside_the_served_one,
    a_build_that_is_not_behind_takes_the_place_of_the_served_one,
    a_build_that_is_behind_the_served_one_does_not_take_its_place,
    only_the_build_beside_the_served_one_can_take_its_place,
    a_new_build_beside_the_served_one_drops_the_earlier_one,
    a_build_begun_instead_is_served_at_once_and_may_begin_anywhere,
    an_abandoned_build_is_dropped_and_the_served_one_stays,
    a_dropped_build_cannot_be_moved,
    no_build_number_is_used_twice,
    a_dropped_view_leaves_nothing,
    a_pause_is_stored,
    the_first_journal_is_stored,
    fields_may_change_without_a_new_version,
    a_view_without_a_build_cannot_be_read,
}

async fn a_new_view_has_no_builds(place: Place) {
    let store = place.store().await;
    assert_eq!(store.prepare(&first()).await.unwrap(), Builds::default());
    assert_eq!(store.names().await.unwrap(), [""; 0]);
}

async fn the_first_build_is_served_at_once(place: Place) {
    for (view, how) in [(first(), Begin::Beside), (view::<2, 3, 0>(), Begin::Instead)] {
        let store = place.store().await;
        let build = store.begin(&view, Offset::START, how).await.unwrap();
        assert_eq!((build.version, build.offset), (view.version(), Offset::START));
        let expected = Builds { serving: Some(build), next: None, is_paused: false };
        assert_eq!(store.prepare(&view).await.unwrap(), expected);
        assert_eq!(store.get(&view, &key("a")).await.unwrap().at, Position(0));
    }
    assert_eq!(place.store().await.names().await.unwrap(), ["first", "second"]);
}

async fn preparing_again_changes_nothing(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    store.commit(&view, build, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
    for store in [store, place.store().await] {
        assert_eq!(served(&store, &view).await, (build, offset(1)));
        assert!(store.get(&view, &key("a")).await.unwrap().document.is_some());
    }
}

async fn readers_do_not_see_a_build_beside_the_served_one(place: Place) {
    let (store, old, new) = (place.store().await, first(), view::<1, 2, 1>());
    let build = begun(&store, &old).await;
    store.commit(&old, build, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
    let next = store.begin(&new, Offset::START, Begin::Beside).await.unwrap();
    store.commit(&new, next.number, Advance { rows: vec![row("a", "2", 1)], ..step(0, 5) }).await.unwrap();
    for store in [store, place.store().await] {
        for view in [&old, &new] {
            let found = store.get(view, &key("a")).await.unwrap();
            assert_eq!((found.document.unwrap().0.as_ref(), found.at), ("1", Position(1)));
        }
        assert_eq!(loaded(&*store, &new, next.number, &[key("a")]).await.unwrap(), [(key("a"), "2".to_owned())]);
        let Builds { serving, next: Some(found), .. } = store.prepare(&new).await.unwrap() else { panic!("no next") };
        let begun_after = Position::ZERO;
        assert_eq!(serving.unwrap(), Build { number: build, version: 1, begun_after, offset: offset(1) });
        assert_eq!(found, Build { offset: offset(5), ..next });
    }
}

async fn a_build_that_is_not_behind_takes_the_place_of_the_served_one(place: Place) {
    let (store, old, new) = (place.store().await, first(), view::<1, 2, 1>());
    let build = begun(&store, &old).await;
    store.commit(&old, build, Advance { rows: vec![row("a", "1", 1), row("b", "1", 1)], ..step(0, 4) }).await.unwrap();
    let next = store.begin(&new, Offset::START, Begin::Beside).await.unwrap().number;
    store.commit(&new, next, Advance { rows: vec![row("a", "2", 1)], ..step(0, 4) }).await.unwrap();
    assert!(store.serve(&new, next).await.unwrap());
    for store in [store, place.store().await] {
        assert_eq!(served(&store, &new).await, (next, offset(4)));
        assert_eq!(store.prepare(&new).await.unwrap().next, None);
        assert_eq!(store.get(&new, &key("a")).await.unwrap().document.unwrap().0.as_ref(), "2");
        assert_eq!(store.get(&new, &key("b")).await.unwrap().document, None);
        assert!(loaded(&*store, &old, build, &[key("a")]).await.is_err());
    }
}

async fn a_build_that_is_behind_the_served_one_does_not_take_its_place(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    store.commit(&view, build, step(0, 4)).await.unwrap();
    let next = store.begin(&view, Offset::START, Begin::Beside).await.unwrap().number;
    store.commit(&view, next, step(0, 3)).await.unwrap();
    assert!(!store.serve(&view, next).await.unwrap());
    assert_eq!(served(&store, &view).await, (build, offset(4)));
    store.commit(&view, next, step(3, 4)).await.unwrap();
    assert!(store.serve(&view, next).await.unwrap());
}

async fn only_the_build_beside_the_served_one_can_take_its_place(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    assert!(!store.serve(&view, build).await.unwrap());
    let other = begun(&store, &super::support::second()).await;
    assert!(!store.serve(&view, other).await.unwrap());
    assert_eq!(served(&store, &view).await, (build, Offset::START));
}

async fn a_new_build_beside_the_served_one_drops_the_earlier_one(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    let given_up = store.begin(&view, Offset::START, Begin::Beside).await.unwrap().number;
    let next = store.begin(&view, Offset::START, Begin::Beside).await.unwrap();
    assert_eq!(store.prepare(&view).await.unwrap().next, Some(next));
    assert!(!store.serve(&view, given_up).await.unwrap());
    assert_eq!(served(&store, &view).await.0, build);
}

async fn a_build_begun_instead_is_served_at_once_and_may_begin_anywhere(place: Place) {
    let (store, view) = (place.store().await, first());
    let old = begun(&store, &view).await;
    store.commit(&view, old, Advance { rows: vec![row("a", "1", 1)], ..step(0, 9) }).await.unwrap();
    store.begin(&view, Offset::START, Begin::Beside).await.unwrap();
    let build = store.begin(&view, offset(5), Begin::Instead).await.unwrap();
    let expected = Builds { serving: Some(build), next: None, is_paused: false };
    assert_eq!(store.prepare(&view).await.unwrap(), expected);
    assert_eq!(served(&store, &view).await, (build.number, offset(5)));
    let found = store.get(&view, &key("a")).await.unwrap();
    assert_eq!((found.document, found.at), (None, Position(5)));
}

async fn an_abandoned_build_is_dropped_and_the_served_one_stays(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    store.commit(&view, build, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
    let next = store.begin(&view, Offset::START, Begin::Beside).await.unwrap().number;
    for _ in 0..2 {
        store.abandon(&view).await.unwrap();
        assert_eq!(store.prepare(&view).await.unwrap().next, None);
    }
    assert!(!store.serve(&view, next).await.unwrap());
    assert!(store.get(&view, &key("a")).await.unwrap().document.is_some());
}

async fn a_dropped_build_cannot_be_moved(place: Place) {
    let (store, view) = (place.store().await, first());
    let gone = begun(&store, &view).await;
    begun(&store, &view).await;
    let refused = store.commit(&view, gone, step(0, 1)).await.unwrap_err();
    assert_eq!(refused, CommitError::Moved { expected: Position(0), found: None });
    assert!(loaded(&*store, &view, gone, &[key("a")]).await.is_err());
}

async fn no_build_number_is_used_twice(place: Place) {
    let (store, view) = (place.store().await, first());
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(begun(&store, &view).await);
        numbers.push(store.begin(&view, Offset::START, Begin::Beside).await.unwrap().number);
        store.drop_view(view.name()).await.unwrap();
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}

async fn a_dropped_view_leaves_nothing(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    store.commit(&view, build, step(0, 1)).await.unwrap();
    store.begin(&view, Offset::START, Begin::Beside).await.unwrap();
    store.set_paused(&view, true).await.unwrap();
    for name in ["first", "first", "unheard-of"] {
        store.drop_view(name).await.unwrap();
    }
    assert_eq!(store.prepare(&view).await.unwrap(), Builds::default());
    assert_eq!(store.names().await.unwrap(), [""; 0]);
    assert!(store.get(&view, &key("a")).await.is_err());
    assert_eq!(store.parked(build, None, Position(0), 10).await.unwrap_or_default(), []);
}

async fn a_pause_is_stored(place: Place) {
    let (store, view) = (place.store().await, first());
    for is_paused in [true, true, false, false] {
        store.set_paused(&view, is_paused).await.unwrap();
        for store in [&store, &place.store().await] {
            assert_eq!(store.prepare(&view).await.unwrap().is_paused, is_paused);
        }
    }
}

async fn the_first_journal_is_stored(place: Place) {
    let store = place.store().await;
    assert_eq!(store.of_journal(None).await, Ok(None));
    let (first, other) = (Some(Mark(0x0f)), Some(Mark(0xff00_0000)));
    for (asked, remembered) in [(first, first), (None, first), (other, first)] {
        for store in [&store, &place.store().await] {
            assert_eq!(store.of_journal(asked).await, Ok(remembered));
        }
    }
}

async fn fields_may_change_without_a_new_version(place: Place) {
    let store = place.store().await;
    let build = begun(&store, &first()).await;
    let rows = vec![row("a", r#"{"status":"open","customer":{"age":7},"paid":true}"#, 1)];
    store.commit(&first(), build, Advance { rows, ..step(0, 1) }).await.unwrap();
    for view in [view::<1, 1, 2>(), view::<1, 1, 0>(), first()] {
        assert_eq!(served(&store, &view).await, (build, offset(1)));
        assert!(store.get(&view, &key("a")).await.unwrap().document.is_some());
    }
}

async fn a_view_without_a_build_cannot_be_read(place: Place) {
    let (store, missing, other) = (place.store().await, first(), super::support::second());
    let build = begun(&store, &other).await;
    store.commit(&other, build, step(0, 1)).await.unwrap();
    assert!(store.get(&missing, &key("a")).await.is_err());
    let nowhere = dormouse_projections::store::BuildNumber(build.0 + 1);
    assert!(loaded(&*store, &missing, nowhere, &[key("a")]).await.is_err());
    assert!(store.commit(&missing, nowhere, step(0, 1)).await.is_err());
    // These calls harm no other view.
    assert_eq!(served(&store, &other).await, (build, offset(1)));
}

async fn the_begin_of_a_build_is_stored(place: Place) {
    let (store, view) = (place.store().await, first());
    let begun = store.begin(&view, offset(7), Begin::Instead).await.unwrap();
    assert_eq!((begun.begun_after, begun.offset), (Position(7), offset(7)));
    store.commit(&view, begun.number, step(7, 9)).await.unwrap();
    let found = place.store().await.prepare(&view).await.unwrap().serving.unwrap();
    assert_eq!(found, Build { offset: offset(9), ..begun });
}
