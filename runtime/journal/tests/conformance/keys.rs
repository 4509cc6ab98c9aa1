//! Command keys: a command is not carried out twice.

use dormouse_faults::Faulty;
use dormouse_journal::{AppendError, Options};
use dormouse_kernel::Version;

use crate::support::{History, Place, key, submit, whole_history, whole_log};

on_every_store! {
    a_known_key_is_refused_with_its_first_version,
    a_key_twice_in_one_batch_is_refused,
    a_key_refused_with_its_command_can_be_used_again,
    the_same_key_of_another_aggregate_is_another_key,
    only_the_first_event_of_a_command_carries_its_key,
    a_key_that_its_submitter_wrongly_calls_new_is_a_conflict,
}

async fn a_known_key_is_refused_with_its_first_version(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    journal.append(account.next(2)).await.unwrap();
    journal.append(account.keyed("pay", false, 3)).await.unwrap();
    journal.append(account.next(1)).await.unwrap();
    // Also if the version is wrong: that the command is repeated says more.
    for mut repeated in [account.clone(), History::of("a")] {
        let refused = journal.append(repeated.keyed("pay", false, 1)).await;
        assert_eq!(refused, Err(AppendError::KnownKey { first: Version(3) }));
    }
    assert_eq!(journal.find_command(&account.aggregate, &key("pay")).await, Ok(Some(Version(3))));
    assert_eq!(journal.find_command(&account.aggregate, &key("PAY")).await, Ok(None));
    assert_eq!(whole_log(&journal).await.len(), 6);
}

async fn a_key_twice_in_one_batch_is_refused(place: Place) {
    for known_new in [true, false] {
        let store = Faulty::over(place.store().await);
        let journal = dormouse_journal::Journal::start(store.clone(), Options::default()).await.unwrap();
        let mut account = History::of(&format!("known new: {known_new}"));
        let held = store.hold_commits();
        let before = submit(&journal, History::of(&format!("before {known_new}")).next(1)).await;
        store.commit_arrives().await;
        let first = submit(&journal, account.keyed("pay", known_new, 2)).await;
        let again = submit(&journal, account.clone().keyed("pay", known_new, 1)).await;
        let other = submit(&journal, account.keyed("pay-2", known_new, 1)).await;
        drop(held);
        before.await.unwrap().unwrap();
        assert_eq!(first.await.unwrap().unwrap().version, Version(2));
        assert_eq!(again.await.unwrap(), Err(AppendError::KnownKey { first: Version(1) }));
        assert_eq!(other.await.unwrap().unwrap().version, Version(3));
        assert_eq!(store.batches(), [1, 2]);
        assert_eq!(whole_history(&journal, &account.aggregate).await.len(), 3);
    }
}

async fn a_key_refused_with_its_command_can_be_used_again(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    let mut stale = account.clone();
    journal.append(account.next(1)).await.unwrap();
    journal.append(stale.keyed("pay", false, 1)).await.unwrap_err();
    assert_eq!(journal.find_command(&account.aggregate, &key("pay")).await, Ok(None));
    journal.append(account.keyed("pay", false, 1)).await.unwrap();
}

async fn the_same_key_of_another_aggregate_is_another_key(place: Place) {
    let journal = place.journal().await;
    for id in ["a", "b", "c"] {
        journal.append(History::of(id).keyed("pay", false, 1)).await.unwrap();
    }
    assert_eq!(whole_log(&journal).await.len(), 3);
    assert_eq!(journal.find_command(&History::of("d").aggregate, &key("pay")).await, Ok(None));
}

async fn only_the_first_event_of_a_command_carries_its_key(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    journal.append(account.keyed("pay", false, 2)).await.unwrap();
    journal.append(account.next(1)).await.unwrap();
    journal.append(account.keyed("pay-2", false, 1)).await.unwrap();
    let history = whole_history(&journal, &account.aggregate).await;
    let keys: Vec<_> = history.into_iter().map(|event| event.command_key).collect();
    assert_eq!(keys, [Some(key("pay")), None, None, Some(key("pay-2"))]);
}

async fn a_key_that_its_submitter_wrongly_calls_new_is_a_conflict(place: Place) {
    let journal = place.journal().await;
    let mut account = History::of("a");
    let mut stale = account.clone();
    journal.append(account.keyed("pay", true, 1)).await.unwrap();
    // The submitter claims to know all keys up to its version, and the version is wrong.
    let refused = journal.append(stale.keyed("pay", true, 1)).await;
    assert_eq!(refused, Err(AppendError::VersionConflict { expected: Version(0), actual: Version(1) }));
    assert_eq!(whole_log(&journal).await.len(), 1);
}
