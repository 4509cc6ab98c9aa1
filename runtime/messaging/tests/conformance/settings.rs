//! Small values by name.

use dormouse_messaging::store::Error;

use crate::support::Place;

on_every_store! {
    settings_are_read_in_the_order_of_their_names,
    a_setting_is_replaced_and_removed,
    a_setting_is_set_only_by_the_owner;
    durable: a_setting_survives_reopening,
}

fn owned(settings: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect()
}

async fn settings_are_read_in_the_order_of_their_names(place: Place) {
    let store = place.owned().await;
    for name in ["webhook/b", "webhook/ä", "webhook", "webhook/B", "webhooks/a", "webhook0", "a"] {
        store.set_setting(name, Some(name.as_bytes())).await.unwrap();
    }
    let of_webhooks =
        owned(&[("webhook/B", b"webhook/B"), ("webhook/b", b"webhook/b"), ("webhook/ä", "webhook/ä".as_bytes())]);
    assert_eq!(store.settings("webhook/").await.unwrap(), of_webhooks);
    assert_eq!(store.settings("").await.unwrap().len(), 7);
    assert_eq!(store.settings("webhook/c").await.unwrap(), []);
    assert_eq!(store.settings("z").await.unwrap(), []);
}

async fn a_setting_is_replaced_and_removed(place: Place) {
    let store = place.owned().await;
    store.set_setting("one", Some(b"1")).await.unwrap();
    store.set_setting("two", Some(&[0, 255])).await.unwrap();
    store.set_setting("one", Some(b"")).await.unwrap();
    assert_eq!(store.settings("").await.unwrap(), owned(&[("one", b""), ("two", &[0, 255])]));
    store.set_setting("one", None).await.unwrap();
    store.set_setting("three", None).await.unwrap();
    assert_eq!(store.settings("").await.unwrap(), owned(&[("two", &[0, 255])]));
}

async fn a_setting_is_set_only_by_the_owner(place: Place) {
    let other = place.store().await;
    assert_eq!(other.set_setting("one", Some(b"1")).await, Err(Error::Fenced));
    let store = place.owned().await;
    store.set_setting("one", Some(b"1")).await.unwrap();
    assert_eq!(other.set_setting("one", None).await, Err(Error::Fenced));
    assert_eq!(other.settings("").await.unwrap(), owned(&[("one", b"1")]));
}

async fn a_setting_survives_reopening(place: Place) {
    let store = place.owned().await;
    store.set_setting("one", Some(b"1")).await.unwrap();
    store.close().await;
    assert_eq!(place.store().await.settings("").await.unwrap(), owned(&[("one", b"1")]));
}
