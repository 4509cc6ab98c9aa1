//! Whatever is done to the files is found.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;

use super::{Head, Site, VerifyError};
use crate::{Damage, Key, KeyError, OpenError, Verified};

/// A log of several segments, and all heads that it had. It is written once and copied.
fn filled() -> (Site, Vec<Head>) {
    static WRITTEN: LazyLock<(Site, Vec<Head>)> = LazyLock::new(|| {
        let site = Site::of_small_segments();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let heads = runtime.block_on(site.filled(12));
        (site, heads)
    });
    let (written, heads) = &*WRITTEN;
    let site = Site::of_small_segments();
    fs::create_dir(site.directory()).unwrap();
    let segments = written.segments();
    assert!(segments.len() >= 3);
    let copy = |from: &Path, to: PathBuf| _ = fs::copy(from, to).unwrap();
    segments.iter().for_each(|path| copy(path, site.directory().join(path.file_name().unwrap())));
    copy(&written.key(), site.key());
    (site, heads.clone())
}

#[track_caller]
fn damage(found: Result<Verified, VerifyError>) -> Damage {
    match found {
        Err(VerifyError::Damage(damage)) => damage,
        other => panic!("the damage is not found: {other:?}"),
    }
}

proptest! {
    #![proptest_config(Config { cases: 64, ..Config::default() })]

    #[test]
    fn a_changed_byte_is_found(segment: Index, at: Index, mask in 1_u8..) {
        let (site, heads) = filled();
        let segments = site.segments();
        let path = segment.get(&segments);
        let mut bytes = fs::read(path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        fs::write(path, &bytes).unwrap();
        damage(site.verify(heads.last().copied()));
        let is_last_line_break = path == segments.last().unwrap() && at + 1 == bytes.len();
        if !is_last_line_break {
            // Without an anchored head, a log whose last line break is missing looks as if it were being written.
            damage(site.verify(None));
        }
        prop_assert!(is_last_line_break || path != segments.last().unwrap() || site.open().is_err());
    }

    #[test]
    fn two_lines_that_changed_places_are_found(one: Index, other: Index) {
        let (site, _) = filled();
        let mut lines = site.lines();
        let places: Vec<_> =
            lines.iter().enumerate().flat_map(|(segment, of)| (0..of.len()).map(move |line| (segment, line))).collect();
        let (one, other) = (*one.get(&places), *other.get(&places));
        prop_assume!(one != other);
        let moved = lines[one.0][one.1].clone();
        lines[one.0][one.1] = std::mem::replace(&mut lines[other.0][other.1], moved);
        site.write(&lines);
        damage(site.verify(None));
    }

    #[test]
    fn a_cut_of_the_end_is_found_with_an_anchored_head(bytes: Index) {
        let (site, heads) = filled();
        let total: usize = site.lines().concat().concat().len();
        // At least one byte is cut.
        let mut left = bytes.index(total);
        for path in site.segments() {
            let bytes = fs::read(&path).unwrap();
            if left == 0 {
                fs::remove_file(path).unwrap();
            } else {
                fs::write(path, &bytes[..left.min(bytes.len())]).unwrap();
            }
            left = left.saturating_sub(bytes.len());
        }
        let found = damage(site.verify(heads.last().copied()));
        prop_assert!(matches!(found, Damage::Cut { .. }), "{found}");
        // An older head is still met, if its entry is there.
        let head = site.verify(None).unwrap().head;
        prop_assert!(site.verify(Some(head)).is_ok());
    }

    #[test]
    fn a_line_that_was_removed_is_found(at: Index) {
        let (site, heads) = filled();
        let mut lines = site.lines();
        let at = at.index(heads.len());
        let (mut segment, mut line) = (0, at);
        while line >= lines[segment].len() {
            line -= lines[segment].len();
            segment += 1;
        }
        lines[segment].remove(line);
        site.write(&lines);
        damage(site.verify(heads.last().copied()));
        if at + 1 < heads.len() {
            damage(site.verify(None));
        }
    }

    #[test]
    fn a_line_that_was_added_is_found(at: Index, copied: Index) {
        let (site, _) = filled();
        let mut lines = site.lines();
        let copy = copied.get(&lines.concat()).clone();
        let segment = at.index(lines.len());
        let place = copied.index(lines[segment].len() + 1);
        lines[segment].insert(place, copy);
        site.write(&lines);
        damage(site.verify(None));
    }
}

#[test]
fn a_log_without_damage_verifies_with_every_head_that_it_had() {
    let (site, heads) = filled();
    let last = *heads.last().unwrap();
    let verified = site.verify(Some(last)).unwrap();
    assert_eq!((verified.first, verified.head, verified.incomplete_bytes), (Some(1), last, 0));
    assert_eq!(verified.segments, site.segments().len());
    for head in [&[Head::EMPTY][..], &heads].concat() {
        site.verify(Some(head)).unwrap();
    }
    let other = Head { mac: heads[3].mac, sequence: heads[4].sequence };
    assert_eq!(damage(site.verify(Some(other))), Damage::OtherHistory { anchored: other });
}

#[test]
fn old_segments_may_be_elsewhere_and_middle_ones_may_not() {
    let (site, heads) = filled();
    let segments = site.segments();
    fs::remove_file(&segments[1]).unwrap();
    assert!(matches!(damage(site.verify(None)), Damage::MissingSegment { segment } if segment == "audit-000002.jsonl"));
    assert!(matches!(site.open(), Err(OpenError::Damaged { damage: Damage::MissingSegment { .. }, .. })));

    fs::remove_file(&segments[0]).unwrap();
    let verified = site.verify(heads.last().copied()).unwrap();
    let first = verified.first.unwrap();
    assert!(first > 1);
    // The head just before the first entry is the one that the first entry follows.
    let at = usize::try_from(first).unwrap() - 2;
    site.verify(Some(heads[at])).unwrap();
    assert!(matches!(damage(site.verify(Some(heads[at - 1]))), Damage::AnchorArchived { .. }));
    let wrong = Head { mac: heads[0].mac, ..heads[at] };
    assert!(matches!(damage(site.verify(Some(wrong))), Damage::OtherHistory { .. }));
    site.open().unwrap();
}

#[test]
fn lines_before_the_first_one_of_a_segment_are_missed() {
    let (site, _) = filled();
    let segments = site.segments();
    segments[..segments.len() - 1].iter().for_each(|path| fs::remove_file(path).unwrap());
    let lines = site.lines();
    site.write(&[lines[0][1..].to_vec()]);
    assert!(matches!(damage(site.verify(None)), Damage::NoBeginning { .. }));
    assert!(matches!(site.open(), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_log_verifies_with_its_own_key_only() {
    let (site, _) = filled();
    fs::rename(site.key(), site.place.path().join("kept")).unwrap();
    // A new key would make a log out of which the old entries cannot be told from forged ones.
    assert!(matches!(site.open(), Err(OpenError::Key(KeyError::Missing { .. }))));
    Key::create(&site.key()).unwrap();
    assert!(matches!(damage(site.verify(None)), Damage::Changed { sequence: 1, .. }));
    let refused = site.open().unwrap_err().to_string();
    assert!(refused.contains("was written with another key; keep its files"), "{refused}");
}

#[test]
fn a_segment_that_was_emptied_or_cut_is_found() {
    let (site, _) = filled();
    let lines = site.lines();
    for left in [0, 20] {
        OpenOptions::new().write(true).open(&site.segments()[1]).unwrap().set_len(left).unwrap();
        assert!(matches!(damage(site.verify(None)), Damage::Incomplete { .. }), "{left}");
    }
    site.write(&lines);
    site.verify(None).unwrap();
}
