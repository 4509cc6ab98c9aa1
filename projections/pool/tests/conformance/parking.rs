//! Parked events are stored durably, in order.

use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Position, Version};
use dormouse_projections::store::{Advance, DocumentAt, Parked};

use crate::support::{Place, begun, first, key, row, second, step};

on_every_store! {
    parked_events_are_read_in_order,
    a_refused_commit_parks_nothing,
    a_new_build_has_no_parked_events,
    parked_events_of_one_aggregate_are_read_alone,
    a_commit_releases_events_together_with_their_documents,
}

fn parked(id: &str, version: u64, position: u64, reason: Option<&str>) -> Parked {
    let aggregate = AggregateRef::new(AggregateType::new("account").unwrap(), AggregateId::new(id).unwrap());
    let (version, position) = (Version(version), Position(position));
    // Large numbers of attempts are stored, too.
    let attempts = if reason.is_some() { u32::MAX - position.0 as u32 } else { 0 };
    Parked { aggregate, version, position, reason: reason.map(str::to_owned), attempts }
}

fn events() -> Vec<Parked> {
    vec![
        parked("a", 1, 2, Some("it is \"no\" number: '€'")),
        parked("a", 2, 3, None),
        parked("b/ü".replace('/', "-").as_str(), 7, 5, Some("")),
    ]
}

async fn parked_events_are_read_in_order(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    let all = events();
    store.commit(&view, build, Advance { parked: all[..1].to_vec(), ..step(0, 2) }).await.unwrap();
    store.commit(&view, build, Advance { parked: all[1..].to_vec(), ..step(2, 9) }).await.unwrap();
    assert_eq!(store.parked(build, None, Position(0), 10).await.unwrap(), all);
    assert_eq!(store.parked(build, None, Position(2), 1).await.unwrap(), all[1..2]);
    assert_eq!(store.parked(build, None, Position(5), 10).await.unwrap(), []);
    let (one, other, none) = (&all[0].aggregate, &all[2].aggregate, parked("c", 1, 1, None).aggregate);
    let mut among = store.parked_among(build, &[none.clone(), other.clone(), one.clone()]).await.unwrap();
    among.sort();
    assert_eq!(among, [one.clone(), other.clone()]);
    assert_eq!(store.parked_among(build, &[none]).await.unwrap(), []);
    assert_eq!(store.parked_count(build).await.unwrap(), 2);
    assert_eq!(place.store().await.parked(build, None, Position(0), 10).await.unwrap(), all);
}

async fn a_refused_commit_parks_nothing(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    store.commit(&view, build, Advance { parked: events(), ..step(4, 9) }).await.unwrap_err();
    assert_eq!(store.parked(build, None, Position(0), 10).await.unwrap(), []);
}

async fn a_new_build_has_no_parked_events(place: Place) {
    let (store, one, other) = (place.store().await, first(), second());
    let mut builds = Vec::new();
    for view in [&one, &other] {
        let build = begun(&store, view).await;
        store.commit(view, build, Advance { parked: events(), ..step(0, 9) }).await.unwrap();
        builds.push(build);
    }
    let anew = begun(&store, &one).await;
    assert_eq!(store.parked(anew, None, Position(0), 10).await.unwrap(), []);
    assert_eq!(store.parked_among(anew, &[events()[0].aggregate.clone()]).await.unwrap(), []);
    assert_eq!(store.parked_count(anew).await.unwrap(), 0);
    assert_eq!(store.parked(builds[1], None, Position(0), 10).await.unwrap(), events());
}

async fn parked_events_of_one_aggregate_are_read_alone(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    store.commit(&view, build, Advance { parked: events(), ..step(0, 9) }).await.unwrap();
    let (all, of) = (events(), events()[0].aggregate.clone());
    assert_eq!(store.parked(build, Some(&of), Position(0), 10).await.unwrap(), all[..2]);
    assert_eq!(store.parked(build, Some(&of), Position(2), 10).await.unwrap(), all[1..2]);
    assert_eq!(store.parked(build, Some(&of), Position(0), 1).await.unwrap(), all[..1]);
}

async fn a_commit_releases_events_together_with_their_documents(place: Place) {
    let (store, view) = (place.store().await, first());
    let build = begun(&store, &view).await;
    store.commit(&view, build, Advance { parked: events(), ..step(0, 9) }).await.unwrap();
    let released = vec![Position(2)];
    let again = parked("a", 2, 3, Some("another reason"));
    let rows = vec![row("a", "1", 2)];
    let advance = Advance { rows, released, parked: vec![again.clone()], ..step(9, 9) };
    store.commit(&view, build, advance).await.unwrap();
    assert_eq!(store.parked(build, None, Position(0), 10).await.unwrap(), [again, events().remove(2)]);
    let found = store.get(&view, &key("a")).await.unwrap();
    assert_eq!(found, DocumentAt { document: Some(("1".into(), Position(2))), at: Position(9) });
}
