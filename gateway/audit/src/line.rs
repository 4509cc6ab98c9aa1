//! A line of the log: an entry with its number, its time and its hash, as one JSON object. The hash is over the exact bytes
//! before it, so that nothing depends on how a program writes JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::chain::{Head, Mac};
use crate::entry::Entry;
use crate::key::Key;

/// What stands between the body of a line and its hash.
const BEFORE_MAC: &[u8] = br#","mac":""#;

/// What stands after the hash.
const AFTER_MAC: &[u8] = br#""}"#;

/// The digits of a hash.
const MAC_DIGITS: usize = 64;

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEntry {
    /// Its number in the log, from 1, without gaps.
    pub sequence: u64,
    /// When it was written.
    pub time: Timestamp,
    /// What was recorded.
    #[serde(flatten)]
    pub entry: Entry,
    /// The hash of the line before, in the first line of a segment: the segments before may be elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// The hash of the line.
    pub mac: String,
}

#[derive(Serialize)]
struct Body<'e> {
    sequence: u64,
    time: Timestamp,
    #[serde(flatten)]
    entry: &'e Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
}

/// What the chain needs to know of a line.
#[derive(Deserialize)]
struct Links {
    sequence: u64,
    previous: Option<String>,
}

/// A line whose hash has not been checked.
pub(crate) struct Unverified<'l> {
    body: &'l [u8],
    mac: Mac,
    pub(crate) sequence: u64,
    /// The hash of the line before, if the line says it.
    pub(crate) previous: Option<Mac>,
}

/// Writes the line of an entry that follows `head`, and its line break. `begins_segment`: it also says the hash of the
/// line before. Returns the line, and the head with it.
pub(crate) fn encode(key: &Key, head: Head, begins_segment: bool, time: Timestamp, entry: &Entry) -> (Vec<u8>, Head) {
    let sequence = head.sequence + 1;
    let previous = begins_segment.then(|| head.mac.to_string());
    // Numbers and texts can always be written as JSON.
    let mut line = serde_json::to_vec(&Body { sequence, time, entry, previous }).unwrap_or_default();
    // The hash is added as the last member.
    line.pop();
    let mac = head.mac.next(key, &line);
    line.extend_from_slice(BEFORE_MAC);
    line.extend_from_slice(mac.to_string().as_bytes());
    line.extend_from_slice(AFTER_MAC);
    line.push(b'\n');
    (line, Head { sequence, mac })
}

impl<'l> Unverified<'l> {
    /// Takes a line apart. `None`: it was not written by this program.
    pub(crate) fn parse(line: &'l [u8]) -> Option<Self> {
        let (before, mac) = line.strip_suffix(AFTER_MAC)?.split_last_chunk::<MAC_DIGITS>()?;
        let (body, mac) = (before.strip_suffix(BEFORE_MAC)?, Mac::parse(mac)?);
        let Links { sequence, previous } = serde_json::from_slice(line).ok()?;
        let previous = match previous {
            None => None,
            Some(text) => Some(Mac::parse(text.as_bytes())?),
        };
        Some(Self { body, mac, sequence, previous })
    }

    /// The head of the log with this line, if it is unchanged and follows `previous`.
    pub(crate) fn verified(&self, key: &Key, previous: Mac) -> Option<Head> {
        // Hashes are compared in constant time.
        let is_unchanged = previous.next(key, self.body) == self.mac;
        is_unchanged.then_some(Head { sequence: self.sequence, mac: self.mac })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Action, Outcome, Who};
    use crate::limits::{DETAILS_MAX, LINE_BYTES_MAX};

    const KEY: Key = Key::of([7; 32]);

    /// A line as it was written by the first version of the log: what is stored stays readable and verifiable.
    const GOLDEN: &str = concat!(
        r#"{"sequence":1,"time":"2026-01-02T03:04:05Z","action":"admin-action","operation":"cache.clear","#,
        r#""who":{"subject":"ada","key":"5f0c","issuer":"https://i.test","peer":"::1"},"target":"/admin/cache/clear","#,
        r#""details":{"views":"[\"orders\"]"},"outcome":"done","status":200,"request_id":"r-1","#,
        r#""previous":"0000000000000000000000000000000000000000000000000000000000000000","#,
        r#""mac":"MAC"}"#
    );

    fn golden_entry() -> Entry {
        let who = Who {
            subject: Some("ada".to_owned()),
            key: Some("5f0c".to_owned()),
            issuer: Some("https://i.test".to_owned()),
            peer: Some("::1".parse().unwrap()),
        };
        Entry {
            operation: Some("cache.clear".to_owned()),
            target: Some("/admin/cache/clear".to_owned()),
            status: Some(200),
            request_id: Some("r-1".to_owned()),
            ..Entry::new(Action::AdminAction, who, Outcome::Done).with("views", r#"["orders"]"#)
        }
    }

    #[test]
    fn the_format_of_a_line_is_stable() {
        let time = "2026-01-02T03:04:05Z".parse().unwrap();
        let (line, head) = encode(&KEY, Head::EMPTY, true, time, &golden_entry());
        let text = String::from_utf8(line).unwrap();
        let mac = "e173ba12131cd5453a57afd9cea680da56cfb3f5cb3c596c9629dcab065ea4c1";
        assert_eq!(text, format!("{}\n", GOLDEN.replace("MAC", mac)));
        assert_eq!(head.to_string(), format!("1:{mac}"));
        let stored: StoredEntry = serde_json::from_str(&text).unwrap();
        assert_eq!((stored.entry, stored.mac.as_str()), (golden_entry(), mac));
        let line = Unverified::parse(text.trim_end().as_bytes()).unwrap();
        assert_eq!(line.verified(&KEY, Mac::ROOT), Some(head));
        assert_eq!(line.verified(&Key::of([8; 32]), Mac::ROOT), None);
        assert_eq!(line.verified(&KEY, head.mac), None);
    }

    #[test]
    fn the_longest_entry_fits_the_longest_line() {
        // A control character takes six bytes in JSON.
        let long = "\u{1}".repeat(LINE_BYTES_MAX);
        let who = Who { subject: Some(long.clone()), key: Some(long.clone()), issuer: Some(long.clone()), peer: None };
        let mut entry = Entry::new(Action::AdminAction, who, Outcome::Done);
        for text in [&mut entry.operation, &mut entry.target, &mut entry.request_id] {
            *text = Some(long.clone());
        }
        for number in 0..2 * DETAILS_MAX {
            entry = entry.with(&format!("{}{number:03}", "\u{1}".repeat(253)), &long);
        }
        let (line, _) = encode(&KEY, Head::EMPTY, true, Timestamp::UNIX_EPOCH, &entry.bounded());
        assert!(line.len() <= LINE_BYTES_MAX, "{}", line.len());
    }
}
