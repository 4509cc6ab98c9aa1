//! Opening journals, and refusing other files.

use super::*;
use crate::store::Migrated;

#[tokio::test]
async fn a_new_directory_is_made_with_all_that_leads_to_it() {
    let mut place = Place::new();
    let outer = place.directory;
    place.directory = tempfile::tempdir().unwrap();
    let deep = outer.path().join("one/two #3 %20?");
    let store = Sqlite::open(&deep, &place.config, RETENTION, Access::Own).await.unwrap();
    assert_eq!(store.acquire(None).await.unwrap().head, Position::ZERO);
    store.close().await;
    assert!(deep.join("journal.db").is_file());
}

#[tokio::test]
async fn migrating_gives_the_versions_before_and_after() {
    let place = Place::new();
    assert_eq!(Sqlite::migrate(place.path(), &place.config).await.unwrap(), Migrated { from: 0, to: 1 });
    assert_eq!(Sqlite::migrate(place.path(), &place.config).await.unwrap(), Migrated { from: 1, to: 1 });
    place.owner().await;
}

#[tokio::test]
async fn a_newer_journal_is_refused() {
    let place = Place::new();
    place.owner().await.crash();
    place.tamper("journal.db", "PRAGMA user_version = 7").await;
    for access in [Access::Own, Access::Read] {
        let refused = place.open(access).await.unwrap_err();
        assert_eq!(refused, OpenError::Newer { place: place.path().display().to_string(), found: 7, known: 1 });
    }
    assert!(Sqlite::migrate(place.path(), &place.config).await.is_err());
}

#[tokio::test]
async fn the_database_of_another_application_is_refused_and_left_as_it_is() {
    for theirs in ["CREATE TABLE theirs (id INTEGER)", "PRAGMA application_id = 42"] {
        let place = Place::new();
        std::fs::write(place.path().join("journal.db"), "").unwrap();
        place.tamper("journal.db", theirs).await;
        let before = std::fs::read(place.path().join("journal.db")).unwrap();
        let refused = place.open(Access::Own).await.unwrap_err();
        assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
        assert!(!refused.to_string().contains('\n'));
        assert_eq!(std::fs::read(place.path().join("journal.db")).unwrap(), before);
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let text = "Dear diary, ".repeat(100);
    std::fs::write(place.path().join("journal.db"), &text).unwrap();
    let refused = place.open(Access::Own).await.unwrap_err();
    let expected =
        format!("{} is not a Dormouse journal: it is not a database", place.path().join("journal.db").display());
    assert_eq!(refused.to_string(), expected);
    assert_eq!(std::fs::read_to_string(place.path().join("journal.db")).unwrap(), text);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let place = Place::new();
    let file = place.path().join("file");
    std::fs::write(&file, "").unwrap();
    for directory in [file.join("below"), file, "/proc/journal".into()] {
        let refused = Sqlite::open(&directory, &place.config, RETENTION, Access::Own).await.unwrap_err();
        let named = format!("cannot open the journal at {}: ", directory.display());
        assert!(refused.to_string().starts_with(&named), "{refused}");
    }
}

#[tokio::test]
async fn reading_needs_a_journal_and_makes_none() {
    let place = Place::new();
    let missing = place.path().join("missing");
    let refused = Sqlite::open(&missing, &place.config, RETENTION, Access::Read).await.unwrap_err();
    assert!(matches!(refused, OpenError::Unreachable { .. }), "{refused}");
    assert!(!missing.exists());
    std::fs::write(place.path().join("journal.db"), "").unwrap();
    assert!(place.open(Access::Read).await.is_err());
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn reading_an_index_of_another_version_is_refused_and_leaves_it_as_it_is() {
    let place = Place::new();
    place.owner().await.store.close().await;
    place.tamper("index.db", "PRAGMA user_version = 99").await;
    let refused = place.open(Access::Read).await.unwrap_err();
    assert!(refused.to_string().contains("index.db: it is not of this binary's version"), "{refused}");
    assert_eq!(place.ask("index.db", "PRAGMA user_version").await, 99);
}
