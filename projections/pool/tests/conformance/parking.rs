//! What waits outside a view waits durably, in order.

use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Position, Version};
use dormouse_projections::store::{Advance, Parked};

use crate::support::{Place, first, second, step};

on_every_store! {
    what_is_parked_is_told_in_order,
    a_step_that_is_refused_parks_nothing,
    a_view_that_is_reset_has_nothing_parked,
}

fn parked(id: &str, version: u64, position: u64, reason: Option<&str>) -> Parked {
    let aggregate = AggregateRef::new(AggregateType::new("account").unwrap(), AggregateId::new(id).unwrap());
    let (version, position) = (Version(version), Position(position));
    Parked { aggregate, version, position, reason: reason.map(str::to_owned) }
}

fn events() -> Vec<Parked> {
    vec![
        parked("a", 1, 2, Some("it is \"no\" number: '€'")),
        parked("a", 2, 3, None),
        parked("b/ü".replace('/', "-").as_str(), 7, 5, Some("")),
    ]
}

async fn what_is_parked_is_told_in_order(place: Place) {
    let (store, view) = (place.store().await, first());
    store.prepare(&view).await.unwrap();
    let all = events();
    store.commit(&view, Advance { parked: all[..1].to_vec(), ..step(0, 2) }).await.unwrap();
    store.commit(&view, Advance { parked: all[1..].to_vec(), ..step(2, 9) }).await.unwrap();
    assert_eq!(store.parked(&view, Position(0), 10).await.unwrap(), all);
    assert_eq!(store.parked(&view, Position(2), 1).await.unwrap(), all[1..2]);
    assert_eq!(store.parked(&view, Position(5), 10).await.unwrap(), []);
    let mut aggregates = store.parked_aggregates(&view, 10).await.unwrap();
    aggregates.sort();
    assert_eq!(aggregates, [all[0].aggregate.clone(), all[2].aggregate.clone()]);
    assert_eq!(store.parked_aggregates(&view, 1).await.unwrap().len(), 1);
    assert_eq!(place.store().await.parked(&view, Position(0), 10).await.unwrap(), all);
}

async fn a_step_that_is_refused_parks_nothing(place: Place) {
    let (store, view) = (place.store().await, first());
    store.prepare(&view).await.unwrap();
    store.commit(&view, Advance { parked: events(), ..step(4, 9) }).await.unwrap_err();
    assert_eq!(store.parked(&view, Position(0), 10).await.unwrap(), []);
}

async fn a_view_that_is_reset_has_nothing_parked(place: Place) {
    let (store, one, other) = (place.store().await, first(), second());
    for view in [&one, &other] {
        store.prepare(view).await.unwrap();
        store.commit(view, Advance { parked: events(), ..step(0, 9) }).await.unwrap();
    }
    store.reset(&one).await.unwrap();
    assert_eq!(store.parked(&one, Position(0), 10).await.unwrap(), []);
    assert_eq!(store.parked_aggregates(&one, 10).await.unwrap(), []);
    assert_eq!(store.parked(&other, Position(0), 10).await.unwrap(), events());
}
