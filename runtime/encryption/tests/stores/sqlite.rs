//! What only SQLite has: a file, from which destroyed keys must vanish.

use dormouse_encryption::store::{Error, Sqlite};
use dormouse_encryption::{KeyStore, Subject, SubjectHash};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::support::{Place, at, has_bytes, hash, live, subject};

/// The wrapped bytes of the live key of a subject.
async fn wrapped(store: &dyn KeyStore, subject: SubjectHash) -> Vec<u8> {
    store.find(subject).await.unwrap().unwrap().wrapped.bytes
}

#[tokio::test]
async fn no_byte_of_a_destroyed_key_is_left_in_the_files() {
    let place = Place::sqlite();
    let (keys, wrapping) = place.keys_and_wrapping().await;
    let store = place.store().await;
    let people: Vec<Subject> = (0..200).map(|number| subject(&number.to_string())).collect();
    let mut before = Vec::new();
    for person in &people {
        keys.data_key(person).await.unwrap();
        before.push(wrapped(&*store, keys.subject_hash(person)).await);
    }
    let directory = place.directory();
    assert!(before.iter().all(|bytes| has_bytes(&directory, bytes)), "the search finds what is there");

    // The pages of the file are split and filled again: what was wrapped before must vanish, too.
    place.new_wrapping_key();
    wrapping.reload().unwrap();
    keys.rotate(|_| {}).await.unwrap();
    let mut after = Vec::new();
    for person in &people {
        after.push(wrapped(&*store, keys.subject_hash(person)).await);
    }
    for number in (0..200).step_by(3) {
        keys.forget(&people[number]).await.unwrap();
        let left = [&before[number], &after[number]].into_iter().filter(|bytes| has_bytes(&directory, bytes)).count();
        assert_eq!(left, 0, "of the key {number}");
    }
    for (number, bytes) in after.iter().enumerate() {
        assert_eq!(has_bytes(&directory, bytes), number % 3 != 0, "of the key {number}");
    }
}

#[tokio::test]
async fn a_reader_that_keeps_the_old_bytes_is_reported_and_forgetting_again_removes_them() {
    let place = Place::sqlite();
    let store = place.store().await;
    store.create(&live(7, 7)).await.unwrap();
    let file = SqliteConnectOptions::new().filename(place.directory().join("keys.db")).read_only(true);
    let mut reader = file.connect().await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM data_key").execute(&mut reader).await.unwrap();
    let refused = store.destroy(hash(7), at(1)).await.unwrap_err();
    let Error::Unavailable(reason) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("still in the write-ahead log"), "{reason}");
    assert!(has_bytes(&place.directory(), &live(7, 7).wrapped.bytes));

    reader.close().await.unwrap();
    assert_eq!(store.destroy(hash(7), at(2)).await.unwrap()[0].destroyed_at, at(1));
    assert!(!has_bytes(&place.directory(), &live(7, 7).wrapped.bytes));
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_refused_and_left_as_it_is() {
    let text = "this is not a database, and it is long enough".repeat(100);
    let place = Place::sqlite();
    std::fs::create_dir_all(place.directory()).unwrap();
    let file = place.directory().join("keys.db");
    std::fs::write(&file, &text).unwrap();
    let refused = Sqlite::open(&place.directory(), 1).await.unwrap_err().to_string();
    assert!(refused.contains("it is left as it is") && refused.contains("all encrypted data is lost"), "{refused}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let place = Place::sqlite();
    place.store().await.close().await;
    place.harm("PRAGMA user_version = 99").await;
    let refused = Sqlite::open(&place.directory(), 1).await.unwrap_err().to_string();
    assert!(refused.contains("a newer version of Dormouse wrote it"), "{refused}");
}
