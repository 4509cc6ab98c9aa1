//! Writing: what is acknowledged is durable, what is noted is bounded, and failures are told.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use super::{Head, Site, action, note};
use crate::segments::Segment;
use crate::{Action, AuditLog, Entry, Filter, OpenError, RecordError, StoredEntry, entries};

fn stored(site: &Site) -> Vec<StoredEntry> {
    entries(&site.directory(), Filter::default()).unwrap().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_are_recorded_at_the_same_time_have_numbers_without_gaps() {
    let site = Site::of_small_segments();
    let log = site.open().unwrap();
    let tasks: Vec<_> = (0..300)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move { (number, log.record(action(&format!("/{number}"))).await.unwrap()) })
        })
        .collect();
    let mut heads = Vec::new();
    for task in tasks {
        heads.push(task.await.unwrap());
    }
    // What was acknowledged is in the files, also before the log is closed.
    let stored = stored(&site);
    assert_eq!(stored.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), (1..=300).collect::<Vec<_>>());
    for (number, head) in heads {
        let entry = &stored[usize::try_from(head.sequence).unwrap() - 1];
        assert_eq!(entry.entry.target, Some(format!("/{number}")));
        assert_eq!(entry.mac, head.mac.to_string());
    }
    let head = log.close().await;
    assert_eq!((head.sequence, site.verify(Some(head)).unwrap().first), (300, Some(1)));
    let sizes = site.segments().iter().map(|path| fs::metadata(path).unwrap().len()).collect::<Vec<_>>();
    assert!(sizes.len() > 1 && sizes.iter().all(|bytes| *bytes <= site.bounds.segment_bytes), "{sizes:?}");
}

#[tokio::test]
async fn a_log_goes_on_where_it_ended() {
    let site = Site::of_small_segments();
    let mut last = Head::EMPTY;
    for _ in 0..4 {
        let log = site.open().unwrap();
        assert_eq!(log.head(), last);
        for _ in 0..3 {
            last = log.record(action("/")).await.unwrap();
        }
        log.close().await;
    }
    assert_eq!((last.sequence, site.verify(Some(last)).unwrap().first), (12, Some(1)));
}

#[tokio::test]
async fn one_process_writes_a_log_and_the_next_one_may_when_it_is_closed() {
    let site = Site::new();
    let log = site.open().unwrap();
    assert!(matches!(site.open(), Err(OpenError::Locked { .. })));
    log.close().await;
    assert_eq!(log.record(action("/")).await, Err(RecordError::Closed));
    log.note(note(Action::Login));
    site.open().unwrap();
}

#[tokio::test]
async fn a_line_that_was_not_completed_is_cut_off_and_the_cut_is_told() {
    for of_new_segment in [false, true] {
        let site = Site::of_small_segments();
        let heads = site.filled(5).await;
        let number = site.segments().len() as u64 + u64::from(of_new_segment);
        let path = Segment::path(&site.directory(), number);
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(br#"{"sequence":6,"ti"#).unwrap();
        let verified = site.verify(heads.last().copied()).unwrap();
        assert_eq!((verified.head, verified.incomplete_bytes), (heads[4], 17), "it may be being written");

        let log = site.open().unwrap();
        let next = log.record(action("/next")).await.unwrap();
        log.close().await;
        assert_eq!(next.sequence, 7);
        let stored = stored(&site);
        assert_eq!((stored[5].entry.action, stored[5].entry.details["bytes"].as_str()), (Action::LineCut, "17"));
        assert_eq!(site.verify(Some(next)).unwrap().incomplete_bytes, 0);
    }
}

/// Records entries until one is refused. Returns the number of the others.
async fn until_refused(log: &AuditLog) -> (u64, RecordError) {
    for count in 0..100 {
        if let Err(error) = log.record(action("/")).await {
            return (count, error);
        }
    }
    panic!("nothing is refused");
}

#[tokio::test]
async fn a_full_log_refuses_records_until_segments_are_moved_away() {
    let mut site = Site::of_small_segments();
    site.bounds.log_bytes = 4000;
    let log = site.open().unwrap();
    let (count, refused) = until_refused(&log).await;
    assert_eq!(refused, RecordError::Full { max_bytes: 4000 });
    assert!(count > 5 && crate::bytes(&site.directory()).unwrap() <= 4000);
    assert_eq!(log.record(action("/")).await, Err(refused));
    fs::rename(&site.segments()[0], site.place.path().join("archived")).unwrap();
    let head = log.record(action("/")).await.unwrap();
    assert_eq!(head.sequence, count + 1);
    log.close().await;
    assert!(site.verify(Some(head)).unwrap().first.unwrap() > 1);
}

#[tokio::test]
async fn notes_leave_the_last_quarter_of_the_log_to_records() {
    let mut site = Site::new();
    (site.bounds.log_bytes, site.bounds.notes_burst) = (8000, 1000);
    let log = site.open().unwrap();
    (0..100).for_each(|_| log.note(note(Action::CallerRefused)));
    log.record(action("/")).await.unwrap();
    log.close().await;
    let stored = stored(&site);
    let noted = stored.iter().filter(|entry| entry.entry.action == Action::CallerRefused).count();
    let last = stored.last().unwrap();
    assert!((10..40).contains(&noted), "{noted}");
    // The number is told at the end, because there is no room for reports before.
    assert_eq!(last.entry.details, BTreeMap::from([("caller-refused".to_owned(), (100 - noted).to_string())]));
    assert_eq!(stored[stored.len() - 2].entry.action, Action::AdminAction);
}

/// A log that writes five notes of each action and counts the others, after a flood of 1000 refused callers and one login.
fn flooded(suppressed_every: Duration) -> (Site, AuditLog) {
    let mut site = Site::new();
    site.bounds.notes_burst = 5;
    site.bounds.notes_per_second = 0;
    site.bounds.suppressed_every = suppressed_every;
    let log = site.open().unwrap();
    for _ in 0..1000 {
        log.note(note(Action::CallerRefused));
    }
    log.note(note(Action::Login));
    (site, log)
}

/// The counts of refused callers in the entries that say how many notes were suppressed. Other actions are not counted.
fn counted(site: &Site) -> Vec<u64> {
    let told = stored(site).into_iter().filter(|entry| entry.entry.action == Action::Suppressed);
    let count = |entry: StoredEntry| {
        assert_eq!(entry.entry.details.len(), 1, "{entry:?}");
        entry.entry.details["caller-refused"].parse().unwrap()
    };
    told.map(count).collect()
}

#[tokio::test]
async fn notes_beyond_their_rate_are_counted_in_one_entry() {
    let (site, log) = flooded(Duration::from_secs(3600));
    log.close().await;
    assert_eq!(counted(&site), [995]);
    let actions: Vec<_> = stored(&site).into_iter().map(|entry| entry.entry.action).collect();
    assert_eq!(actions.iter().filter(|action| **action == Action::CallerRefused).count(), 5);
    assert!(actions.contains(&Action::Login), "a flood of one action hides no other");
}

#[tokio::test]
async fn notes_beyond_their_rate_are_counted_while_the_log_is_open() {
    let (site, log) = flooded(Duration::from_millis(10));
    // The first entry may be written during the flood: then others follow.
    loop {
        log.record(action("/")).await.unwrap();
        let sum = counted(&site).iter().sum::<u64>();
        assert!(sum <= 995, "{sum}");
        if sum == 995 {
            break;
        }
    }
    log.close().await;
}

#[tokio::test]
async fn a_directory_that_is_away_for_a_while_refuses_records_for_that_time_only() {
    let site = Site::of_small_segments();
    let log = site.open().unwrap();
    let first = log.record(action("/first")).await.unwrap();
    let away = site.place.path().join("away");
    fs::rename(site.directory(), &away).unwrap();
    // The open segment still takes entries; the next one cannot be begun.
    let (_, refused) = until_refused(&log).await;
    assert!(matches!(refused, RecordError::Unavailable(_)), "{refused:?}");
    fs::rename(&away, site.directory()).unwrap();
    let head = log.record(action("/again")).await.unwrap();
    assert!(head.sequence > first.sequence);
    log.close().await;
    site.verify(Some(head)).unwrap();
}

#[tokio::test]
async fn an_entry_of_any_size_is_recorded_within_the_limits() {
    let site = Site::new();
    let log = site.open().unwrap();
    let long = "\n\u{1}\"é".repeat(10_000);
    let entry = Entry { target: Some(long.clone()), request_id: Some(long.clone()), ..action("/") };
    let head = log.record(entry.with("note", &long)).await.unwrap();
    log.close().await;
    site.verify(Some(head)).unwrap();
    assert_eq!(stored(&site)[0].entry.target.as_ref().unwrap().chars().count(), 513);
}
