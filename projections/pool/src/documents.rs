//! The documents in a worker's memory: those of the current batch, and the latest ones of earlier batches.
//!
//! Between batches they are exactly what is stored, with personal fields opened: only one worker at a time can move a
//! view, and after any failure the worker [clears](Documents::clear) them.

use dormouse_encryption::{InvalidSubject, Subject};
use dormouse_kernel::Position;
use lru::LruCache;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::key::Key;
use crate::limits::ENTRY_BYTES;
use crate::sealing::SealedBy;
use crate::store::Row;

/// Documents by key, and which of them have changed.
#[derive(Debug)]
pub(crate) struct Documents<D> {
    entries: LruCache<Key, Entry<D>>,
    changed: Vec<Key>,
    bytes: usize,
    budget_bytes: usize,
    /// `None`: the documents are not sealed.
    subject_of: Option<SubjectOf<D>>,
}

/// The person whose data a document is.
pub(crate) type SubjectOf<D> = fn(&Key, &D) -> Result<Subject, InvalidSubject>;

/// What has changed since the documents were stored last.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The documents that are new or have changed, sorted by key, as plain JSON.
    pub(crate) rows: Vec<Row>,
    /// The subject of each row, if documents are sealed.
    pub(crate) subjects: Vec<Subject>,
    /// The keys of documents that are removed, sorted.
    pub(crate) gone: Vec<Key>,
}

#[derive(Debug)]
struct Entry<D> {
    /// `None`: there is no such document.
    document: Option<D>,
    /// The size of its JSON when it was last stored, or zero.
    bytes: usize,
    /// The last event that has changed it since then.
    changed: Option<Position>,
    /// What had sealed it when it was loaded or written last.
    sealed_by: Option<SealedBy>,
}

/// A document that cannot be written as JSON, or whose JSON cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document {key:?} {problem}")]
pub(crate) struct InvalidDocument {
    pub(crate) key: Key,
    pub(crate) problem: String,
}

/// A document as it was before an event that might fail.
pub(crate) struct SavedDocument {
    key: Key,
    json: Option<String>,
    changed: Option<Position>,
}

impl<D: Serialize + DeserializeOwned> Documents<D> {
    /// Keeps documents of about `budget_bytes` between batches.
    pub(crate) fn new(budget_bytes: usize, subject_of: Option<SubjectOf<D>>) -> Self {
        Self { entries: LruCache::unbounded(), changed: Vec::new(), bytes: 0, budget_bytes, subject_of }
    }

    /// Those of `keys` that must be loaded, sorted. The others count as used now.
    pub(crate) fn missing<'k>(&mut self, keys: impl Iterator<Item = &'k Key>) -> Vec<Key> {
        let mut missing: Vec<Key> = keys.filter(|key| self.entries.get(*key).is_none()).cloned().collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Adds the documents that were loaded. A wanted key that was not found has no document.
    pub(crate) fn insert(&mut self, wanted: Vec<Key>, found: Vec<(Key, String)>) -> Result<(), InvalidDocument> {
        for (key, json) in found {
            let document = Some(from_json(&key, &json)?);
            self.put(key, Entry { document, bytes: json.len(), changed: None, sealed_by: None });
        }
        for key in wanted {
            if !self.entries.contains(&key) {
                self.put(key, Entry { document: None, bytes: 0, changed: None, sealed_by: None });
            }
        }
        Ok(())
    }

    fn put(&mut self, key: Key, entry: Entry<D>) {
        self.bytes += size_bytes(&key, &entry);
        if let Some((key, replaced)) = self.entries.push(key, entry) {
            self.bytes -= size_bytes(&key, &replaced);
        }
    }

    /// Replaces a document that is [loaded](Self::insert), because of the event at a position. If `next` panics, the
    /// document is lost: [`restore`](Self::restore) it, or [`clear`](Self::clear) all of them.
    pub(crate) fn change(&mut self, key: &Key, position: Position, next: impl FnOnce(Option<D>) -> Option<D>) {
        let Some(entry) = self.entries.get_mut(key) else {
            unreachable!("the documents of a batch are loaded before it is projected");
        };
        if entry.changed.replace(position).is_none() {
            self.changed.push(key.clone());
        }
        entry.document = next(entry.document.take());
    }

    /// What has changed: rows to write, and keys whose documents are removed.
    pub(crate) fn changes(&mut self) -> Result<Changes, InvalidDocument> {
        self.changed.sort_unstable();
        let (mut rows, mut gone) = (Vec::with_capacity(self.changed.len()), Vec::new());
        let mut subjects = Vec::new();
        for key in &self.changed {
            let Some(entry) = self.entries.peek_mut(key) else { continue };
            let before = entry.bytes;
            match (&entry.document, entry.changed) {
                (Some(document), Some(position)) => {
                    let json = to_json(key, document)?;
                    entry.bytes = json.len();
                    if let Some(subject_of) = self.subject_of {
                        subjects.push(valid_subject(key, subject_of(key, document))?);
                    }
                    rows.push(Row { key: key.clone(), document: json, position });
                }
                (None, Some(_)) => {
                    entry.bytes = 0;
                    gone.push(key.clone());
                }
                (_, None) => {}
            }
            self.bytes = self.bytes + entry.bytes - before;
        }
        Ok(Changes { rows, subjects, gone })
    }

    /// The person whose data a document is. `None`: there is no such document, or documents are not sealed.
    pub(crate) fn subject(&self, key: &Key) -> Result<Option<Subject>, InvalidDocument> {
        let document = self.entries.peek(key).and_then(|entry| entry.document.as_ref());
        let Some((document, subject_of)) = document.zip(self.subject_of) else { return Ok(None) };
        valid_subject(key, subject_of(key, document)).map(Some)
    }

    /// Records what has sealed a document. Returns what had sealed it before.
    pub(crate) fn note_sealed_by(&mut self, key: &Key, sealed_by: SealedBy) -> Option<SealedBy> {
        self.entries.peek_mut(key).and_then(|entry| entry.sealed_by.replace(sealed_by))
    }

    /// Records that all changes are stored. Keeps the documents within the budget, and drops the least recently used
    /// beyond it.
    pub(crate) fn mark_stored(&mut self) {
        for key in self.changed.drain(..) {
            if let Some(entry) = self.entries.peek_mut(&key) {
                entry.changed = None;
            }
        }
        while self.bytes > self.budget_bytes {
            let Some((key, entry)) = self.entries.pop_lru() else { break };
            self.bytes -= size_bytes(&key, &entry);
        }
    }

    /// Removes all documents from memory.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.changed.clear();
        self.bytes = 0;
    }

    /// Saves some documents, so that they can be [restored](Self::restore).
    pub(crate) fn save<'k>(&self, keys: impl Iterator<Item = &'k Key>) -> Result<Vec<SavedDocument>, InvalidDocument> {
        let mut saved: Vec<SavedDocument> = Vec::new();
        for key in keys {
            let Some(entry) = self.entries.peek(key) else { continue };
            if saved.iter().all(|before| before.key != *key) {
                let json = entry.document.as_ref().map(|document| to_json(key, document)).transpose()?;
                saved.push(SavedDocument { key: key.clone(), json, changed: entry.changed });
            }
        }
        Ok(saved)
    }

    /// Undoes all changes of the saved documents since they were saved.
    pub(crate) fn restore(&mut self, saved: Vec<SavedDocument>) -> Result<(), InvalidDocument> {
        for SavedDocument { key, json, changed } in saved {
            let document = json.map(|json| from_json(&key, &json)).transpose()?;
            if let Some(entry) = self.entries.peek_mut(&key) {
                (entry.document, entry.changed) = (document, changed);
            }
            if changed.is_none() {
                self.changed.retain(|known| *known != key);
            }
        }
        Ok(())
    }

    /// Whether these documents can be written as JSON and read again, and have subjects.
    pub(crate) fn check<'k>(&self, keys: impl Iterator<Item = &'k Key>) -> Result<(), InvalidDocument> {
        for key in keys {
            if let Some(document) = self.entries.peek(key).and_then(|entry| entry.document.as_ref()) {
                from_json::<D>(key, &to_json(key, document)?)?;
                self.subject(key)?;
            }
        }
        Ok(())
    }
}

fn size_bytes<D>(key: &Key, entry: &Entry<D>) -> usize {
    entry.bytes + key.as_str().len() + ENTRY_BYTES
}

fn valid_subject(key: &Key, subject: Result<Subject, InvalidSubject>) -> Result<Subject, InvalidDocument> {
    subject.map_err(|invalid| InvalidDocument {
        key: key.clone(),
        problem: format!("has no subject (`data_subject`): {invalid}"),
    })
}

fn to_json<D: Serialize>(key: &Key, document: &D) -> Result<String, InvalidDocument> {
    let invalid = |problem: String| InvalidDocument { key: key.clone(), problem };
    let json =
        serde_json::to_string(document).map_err(|error| invalid(format!("cannot be written as JSON: {error}")))?;
    if has_nul(&json) {
        // PostgreSQL cannot query a JSON value with NUL, and all stores accept the same documents.
        return Err(invalid("contains NUL".to_owned()));
    }
    Ok(json)
}

/// Whether a text or a name in the JSON contains the character NUL, which JSON always escapes. If the backslash is
/// itself escaped, `u0000` is ordinary text.
fn has_nul(json: &str) -> bool {
    let is_escaped = |(at, _): (usize, &str)| {
        let before = &json.as_bytes()[..at];
        before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    };
    json.match_indices("\\u0000").any(is_escaped)
}

pub(crate) fn from_json<D: DeserializeOwned>(key: &Key, json: &str) -> Result<D, InvalidDocument> {
    serde_json::from_str(json).map_err(|error| InvalidDocument {
        key: key.clone(),
        problem: format!("cannot be read, was VERSION raised? {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key::from(format!("k-{number}"))
    }

    fn loaded(documents: &mut Documents<String>, keys: std::ops::Range<usize>) {
        let keys: Vec<Key> = keys.map(key).collect();
        let missing = documents.missing(keys.iter());
        documents.insert(missing, Vec::new()).unwrap();
    }

    #[test]
    fn documents_between_batches_are_bounded_and_those_of_a_batch_are_not() {
        let mut documents = Documents::new(10 * ENTRY_BYTES, None);
        for batch in 0..20 {
            loaded(&mut documents, batch * 50..batch * 50 + 50);
            for number in batch * 50..batch * 50 + 50 {
                documents.change(&key(number), Position(1), |_| Some("document".repeat(number % 7)));
            }
            assert!(documents.entries.len() >= 50);
            assert_eq!(documents.changes().unwrap().rows.len(), 50);
            documents.mark_stored();
            assert!(documents.bytes <= 10 * ENTRY_BYTES);
            let counted: usize = documents.entries.iter().map(|(key, entry)| size_bytes(key, entry)).sum();
            assert_eq!(documents.bytes, counted);
        }
        assert!(documents.entries.len() > 3);
    }

    #[test]
    fn nul_is_found_everywhere_and_a_text_that_looks_like_it_is_not_nul() {
        let json = |text: &str| serde_json::to_string(&[text]).unwrap();
        for text in ["\0", "a\0b", "\\\0", "\\u0000\0"] {
            assert!(has_nul(&json(text)), "{text:?}");
        }
        assert!(has_nul(r#"{"\u0000":1}"#));
        for text in ["", "\\u0000", "\\\\u0000", "\u{1}", "u0000"] {
            assert!(!has_nul(&json(text)), "{text:?}");
        }
    }

    #[test]
    fn a_restored_change_leaves_no_trace() {
        let mut documents = Documents::new(1 << 20, None);
        loaded(&mut documents, 0..2);
        documents.change(&key(0), Position(1), |_| Some("first".to_owned()));
        let saved = documents.save([key(0), key(1), key(0)].iter()).unwrap();
        documents.change(&key(0), Position(2), |_| None);
        documents.change(&key(1), Position(2), |_| Some("second".to_owned()));
        documents.restore(saved).unwrap();
        let Changes { rows, gone, .. } = documents.changes().unwrap();
        assert_eq!(rows, [Row { key: key(0), document: "\"first\"".to_owned(), position: Position(1) }]);
        assert!(gone.is_empty());
    }
}
