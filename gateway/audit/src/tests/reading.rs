//! Reading: filters, exports, and logs that are being written.

use std::fs;

use jiff::Timestamp;

use super::{Head, Site, action, note};
use crate::segments::Segment;
use crate::{Action, Entry, Filter, ReadError, Who, entries, export, head};

fn sequences(site: &Site, filter: Filter) -> Vec<u64> {
    entries(&site.directory(), filter).unwrap().map(|entry| entry.unwrap().sequence).collect()
}

#[tokio::test]
async fn entries_are_found_by_number_time_and_subject() {
    let site = Site::of_small_segments();
    site.filled(4).await;
    let log = site.open().unwrap();
    let middle = Timestamp::now();
    let who = Who { subject: Some("grace".to_owned()), ..Who::default() };
    for _ in 0..2 {
        log.record(Entry { who: who.clone(), ..action("/later") }).await.unwrap();
    }
    log.record(action("/last")).await.unwrap();
    assert_eq!(sequences(&site, Filter::default()), [1, 2, 3, 4, 5, 6, 7]);
    for after in 0..9 {
        let expected: Vec<_> = (1..=7).filter(|sequence| *sequence > after).collect();
        assert_eq!(sequences(&site, Filter { after, ..Filter::default() }), expected);
    }
    assert_eq!(sequences(&site, Filter { since: Some(middle), ..Filter::default() }), [5, 6, 7]);
    let of_grace = Filter { subject: Some("grace".to_owned()), after: 5, ..Filter::default() };
    assert_eq!(sequences(&site, of_grace), [6]);
    log.close().await;
}

#[tokio::test]
async fn a_log_is_exported_byte_by_byte_with_its_head() {
    let site = Site::of_small_segments();
    let heads = site.filled(9).await;
    let mut to = Vec::new();
    let exported = export(&site.directory(), &mut to).unwrap();
    assert_eq!((exported.entries, exported.head), (9, heads[8]));
    let lines = String::from_utf8(site.lines().concat().concat()).unwrap();
    assert_eq!(String::from_utf8(to).unwrap(), format!("{lines}{{\"head\":\"{}\"}}\n", heads[8]));
    assert_eq!(head(&site.directory()).unwrap(), heads[8]);
    fs::write(Segment::path(&site.directory(), 99), "{\"sequ").unwrap();
    assert_eq!(head(&site.directory()).unwrap(), heads[8], "a line that is not complete is none");
    let missing = export(&site.place.path().join("missing"), &mut Vec::new()).unwrap();
    assert_eq!((missing.entries, missing.head), (0, Head::EMPTY));
}

#[tokio::test]
async fn a_line_that_is_no_entry_ends_the_reading_with_its_place() {
    let site = Site::of_small_segments();
    site.filled(9).await;
    let mut lines = site.lines();
    lines[1][0] = b"{}\n".to_vec();
    site.write(&lines);
    let mut read = entries(&site.directory(), Filter::default()).unwrap();
    let failed = read.by_ref().find_map(Result::err).unwrap();
    assert!(matches!(&failed, ReadError::Damage(_)), "{failed}");
    assert!(failed.to_string().starts_with("audit-000002.jsonl line 1: "), "{failed}");
    assert!(read.next().is_none());
    assert!(export(&site.directory(), &mut Vec::new()).is_err());
}

#[tokio::test]
async fn files_of_the_log_are_for_its_owner() {
    use std::os::unix::fs::MetadataExt;
    let site = Site::new();
    let log = site.open().unwrap();
    log.note(note(Action::ServerStarted));
    log.close().await;
    let mode = |path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(site.directory()), mode(site.segments()[0].clone()), mode(site.key())), (0o700, 0o600, 0o600));
}
