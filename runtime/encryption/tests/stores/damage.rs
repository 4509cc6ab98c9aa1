//! What no store writes is damage: a store reports it, names the column, and does not take it for a destroyed key.

use dormouse_encryption::store::Error;
use dormouse_encryption::{Error as KeysError, WrapError};

use crate::support::{Place, hash, id, live, subject, wrapping_key};

on_every_store! {
    ;
    durable: a_damaged_row_is_reported_by_everything_that_reads_it,
    a_key_of_another_subject_is_not_used,
}

async fn a_damaged_row_is_reported_by_everything_that_reads_it(place: Place) {
    let store = place.store().await;
    store.create(&live(1, 1)).await.unwrap();
    let at = |column: &str| format!("data_key.{column}");
    for (column, damaged, whole) in [
        ("wrapping_key", "NULL", "'kek-1'"),
        ("wrapping_key", "''", "'kek-1'"),
        ("wrapped", "NULL", "x'00'"),
        ("created_at", "-9223372036854775808", "1"),
    ] {
        place.harm(&format!("UPDATE data_key SET {column} = {damaged}")).await;
        let mut errors = vec![store.find(hash(1)).await.unwrap_err(), store.get(&[id(1)]).await.unwrap_err()];
        errors.push(store.create(&live(2, 1)).await.unwrap_err());
        if damaged != "NULL" {
            errors.push(store.wrapped_by_others(&wrapping_key("kek-2"), None, 9).await.unwrap_err());
        }
        for error in errors {
            let Error::Damaged(reason) = &error else { panic!("{error:?}") };
            assert!(reason.contains(&at(column)) || reason.contains(&at("destroyed_at")), "{reason}");
        }
        place.harm(&format!("UPDATE data_key SET {column} = {whole}")).await;
    }
    store.find(hash(1)).await.unwrap().unwrap();
}

async fn a_key_of_another_subject_is_not_used(place: Place) {
    let keys = place.keys().await;
    let (ada, bob) = (subject("ada"), subject("bob"));
    keys.data_key(&ada).await.unwrap();
    keys.data_key(&bob).await.unwrap();
    let (of_ada, of_bob) = (keys.subject_hash(&ada), keys.subject_hash(&bob));
    // Somebody with access to the store gives Bob's key to Ada, to read later what is sealed for her.
    let swap = format!(
        "UPDATE data_key SET destroyed_at = 1, wrapped = NULL, wrapping_key = NULL WHERE subject = x'{of_ada}';
         UPDATE data_key SET subject = x'{of_ada}' WHERE subject = x'{of_bob}'"
    );
    place.harm(&swap).await;
    let refused = place.keys().await.data_key(&ada).await.unwrap_err();
    assert!(matches!(refused, KeysError::Wrap(WrapError::NotAuthentic(_))), "{refused:?}");
}
