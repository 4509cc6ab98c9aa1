//! Documents with personal fields: sealed in the store and in the cache, plain in the memory of a worker.
//!
//! A stored document has its sealed values in the places of the plain ones. If personal fields are declared, the
//! hashes of their values come before them, in a member of their own, so that lists can be filtered by equality.
//!
//! A hash outlives the data key of its subject. No query finds a document by the hash of a forgotten value. Somebody who
//! has the store and the wrapping keys can check a guess, until the document changes or the view is rebuilt.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use dormouse_encryption::{
    Binding, DataKey, DataKeys, EqualityKey, FindKey, KeyId, KeyState, OpenError, PersonalFields, SealError, Subject,
    SubjectHash,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::definition::Definition;
use crate::fields::{Field, HASHES};
use crate::key::Key;
use crate::limits::DATA_KEYS_AT_ONCE;
use crate::projector::yield_every_few;
use crate::query::{Filter, Page, Query, Test, Value};
use crate::store::values::Paths;
use crate::store::{DocumentAt, Error, Row};

/// Seals and opens the documents of one view.
#[derive(Debug)]
pub(crate) struct Sealing {
    keys: DataKeys,
    fields: PersonalFields,
    /// Sealed values are bound to this text and the key of their document.
    aggregate_type: String,
    hashed: Vec<(Field, EqualityKey)>,
    /// The paths of the hashed fields in plain documents.
    paths: Paths,
}

/// The key that has sealed a document, and the subject of that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SealedBy {
    pub(crate) subject: SubjectHash,
    pub(crate) key: KeyId,
}

/// Why documents could not be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealingError {
    /// A later attempt may succeed.
    #[error("the keys of personal fields cannot be loaded: {0}")]
    Keys(#[from] dormouse_encryption::Error),
    #[error("the personal fields of the document {key:?} cannot be opened: {problem}")]
    Open { key: Key, problem: OpenError },
    #[error("the personal fields of the document {key:?} cannot be sealed: {problem}")]
    Seal { key: Key, problem: SealError },
}

impl SealingError {
    /// Whether a later attempt may succeed. A key that the store of keys lacks may be in a backup of it.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Keys(_) | Self::Open { problem: OpenError::NoKey { .. }, .. })
    }
}

impl From<SealingError> for Error {
    fn from(error: SealingError) -> Self {
        if error.is_transient() { Self::Unavailable(error.to_string()) } else { Self::Damaged(error.to_string()) }
    }
}

impl Sealing {
    /// `None`: the documents have no personal fields.
    pub(crate) fn of(keys: &DataKeys, fields: PersonalFields, view: &Definition) -> Option<Self> {
        if fields.is_empty() {
            return None;
        }
        let equality_key = |field: &Field| keys.equality_key(&format!("{}.{}", view.name(), field.path));
        let declared = view.fields().iter().filter(|field| field.is_personal);
        let hashed: Vec<(Field, EqualityKey)> = declared.map(|field| (*field, equality_key(field))).collect();
        Some(Self {
            keys: keys.clone(),
            fields,
            aggregate_type: format!("view/{}", view.name()),
            paths: Paths::of(hashed.iter().map(|(field, _)| field)),
            hashed,
        })
    }

    /// See [`DataKeys::forgets`].
    pub(crate) fn forgets(&self) -> u64 {
        self.keys.forgets()
    }

    pub(crate) fn subject_hash(&self, subject: &Subject) -> SubjectHash {
        self.keys.subject_hash(subject)
    }

    fn binding<'a>(&'a self, key: &'a Key) -> Binding<'a> {
        Binding { aggregate_type: &self.aggregate_type, aggregate_id: key.as_str(), version: 0 }
    }
}

/// For the worker.
impl Sealing {
    /// Whether a plain document has values to be sealed. One without any needs no key.
    pub(crate) fn has_values(&self, row: &Row) -> Result<bool, SealingError> {
        let has_values = self.fields.has_values_json(&row.document);
        has_values.map_err(|problem| SealingError::Seal { key: row.key.clone(), problem: problem.into() })
    }

    /// The keys of these subjects.
    pub(crate) async fn data_keys(
        &self,
        subjects: BTreeSet<Subject>,
    ) -> Result<BTreeMap<Subject, Arc<DataKey>>, SealingError> {
        let load = |subject: Subject| async move {
            let key = self.keys.data_key(&subject).await?;
            Ok((subject, key))
        };
        stream::iter(subjects).map(load).buffer_unordered(DATA_KEYS_AT_ONCE).try_collect().await
    }

    /// Seals the personal values of a plain document.
    pub(crate) fn seal(&self, row: &mut Row, key: &DataKey) -> Result<(), SealingError> {
        let hashes = self.hashes(&row.document);
        let sealed = self.fields.seal_json(&mut row.document, key, &self.binding(&row.key));
        sealed.map_err(|problem| SealingError::Seal { key: row.key.clone(), problem })?;
        if let Some(hashes) = hashes {
            row.document = with_hashes(&hashes, &row.document);
        }
        Ok(())
    }

    /// The hashes of the personal values of a plain document, as the members of an object. `None`: it gets none.
    fn hashes(&self, document: &str) -> Option<String> {
        if self.hashed.is_empty() {
            return has_hashes(document).then(String::new);
        }
        let mut members = String::new();
        let values = self.paths.values(document, self.hashed.len());
        for ((field, key), value) in self.hashed.iter().zip(values) {
            let Some(value) = value else { continue };
            let comma = if members.is_empty() { "" } else { "," };
            // A string takes everything. Neither paths nor hashes have characters that JSON escapes.
            _ = write!(members, "{comma}\"{}\":\"{}\"", field.path, hash(key, &value));
        }
        (!members.is_empty() || has_hashes(document)).then_some(members)
    }
}

/// For readers and the worker.
impl Sealing {
    /// Opens documents, after one load of their keys. Returns the key of each one that is sealed and not forgotten. A
    /// document without sealed values is neither copied nor parsed.
    pub(crate) async fn open(
        &self,
        mut documents: Vec<(&Key, &mut String)>,
    ) -> Result<Vec<Option<KeyId>>, SealingError> {
        let failed = |key: &Key, problem| SealingError::Open { key: key.clone(), problem };
        let mut ids: Vec<Vec<KeyId>> = Vec::with_capacity(documents.len());
        for (key, document) in &documents {
            let is_sealed = may_be_sealed(document);
            let of_document = if is_sealed { self.fields.key_ids_json(document) } else { Ok(Vec::new()) };
            ids.push(of_document.map_err(|problem| failed(key, problem))?);
            yield_every_few(ids.len()).await;
        }
        let keyring = self.keys.prefetch(ids.iter().flatten().copied()).await?;
        for (number, (key, document)) in documents.iter_mut().enumerate() {
            if has_hashes(document) {
                **document = without_hashes(document);
            }
            if !ids[number].is_empty() {
                let opened = self.fields.open_json(document, &keyring, &self.binding(key));
                opened.map_err(|problem| failed(key, problem))?;
            }
            yield_every_few(number).await;
        }
        let is_live = |id: &KeyId| matches!(keyring.find_key(*id), Some(KeyState::Live(_)));
        Ok(ids.into_iter().map(|ids| ids.into_iter().find(is_live)).collect())
    }

    pub(crate) async fn open_document(&self, key: &Key, found: DocumentAt) -> Result<DocumentAt, SealingError> {
        let DocumentAt { document: Some((document, position)), at } = found else { return Ok(found) };
        if !may_be_sealed(&document) && !has_hashes(&document) {
            return Ok(DocumentAt { document: Some((document, position)), at });
        }
        let mut opened = String::from(&*document);
        self.open(vec![(key, &mut opened)]).await?;
        Ok(DocumentAt { document: Some((opened.into(), position)), at })
    }

    /// Opens the documents that a query has found. A document whose value was forgotten is not among them, although it
    /// still has the hash.
    pub(crate) async fn open_page(&self, query: &Query, mut page: Page) -> Result<Page, SealingError> {
        self.open(page.rows.iter_mut().map(|row| (&row.key, &mut row.document)).collect()).await?;
        let mut asked: Vec<Field> = Vec::new();
        for field in query.filters().iter().map(|filter| filter.field).filter(|field| field.is_personal) {
            if !asked.contains(&field) {
                asked.push(field);
            }
        }
        if !asked.is_empty() {
            let (paths, found) = (Paths::of(asked.iter()), page.rows.len());
            page.rows.retain(|row| paths.values(&row.document, asked.len()).iter().all(Option::is_some));
            let forgotten = (found - page.rows.len()) as u64;
            page.total = page.total.map(|total| total.saturating_sub(forgotten));
        }
        Ok(page)
    }

    /// The query as the store has the documents: values of personal fields are compared by their hashes.
    pub(crate) fn stored_query<'q>(&self, query: &'q Query) -> Cow<'q, Query> {
        if !query.filters().iter().any(|filter| filter.field.is_personal) {
            return Cow::Borrowed(query);
        }
        let filters = query.filters().iter().map(|filter| self.stored_filter(filter));
        Cow::Owned(query.with_filters(filters.collect()))
    }

    fn stored_filter(&self, filter: &Filter) -> Filter {
        let Some((field, key)) = self.hashed.iter().find(|(field, _)| *field == filter.field) else {
            return filter.clone();
        };
        let hashed = |value: &Value| Value::Text(hash(key, value));
        let test = match &filter.test {
            Test::Equal(value) => Test::Equal(hashed(value)),
            Test::In(values) => Test::In(values.iter().map(hashed).collect()),
            _ => unreachable!("a query has no other test of a personal field"),
        };
        Filter { field: field.hashed(), test }
    }
}

/// The hash of a value that is compared, so of the beginning of a long text. It is part of the stored format.
fn hash(key: &EqualityKey, value: &Value) -> String {
    let hash = match value {
        Value::Text(text) => key.hash(text.as_bytes()),
        Value::Integer(number) => key.hash(&number.to_be_bytes()),
        // Both zeros are equal.
        Value::Real(number) => key.hash(&(number + 0.0).to_be_bytes()),
        Value::Boolean(truth) => key.hash(&[u8::from(*truth)]),
    };
    hash.as_str().to_owned()
}

/// Whether a document may have sealed values. A text that looks like one makes this true, too.
fn may_be_sealed(document: &str) -> bool {
    document.contains("\"$sealed\"")
}

/// Whether the first member of a document has hashes. If a plain document looks like it, hashes are put before it in
/// any case, so that exactly they are removed.
fn has_hashes(document: &str) -> bool {
    let inner = document.strip_prefix("{\"").and_then(|rest| rest.strip_prefix(HASHES));
    inner.is_some_and(|rest| rest.starts_with("\":{"))
}

/// A document with these hashes before its members.
fn with_hashes(hashes: &str, document: &str) -> String {
    let Some(members) = document.strip_prefix('{') else { return document.to_owned() };
    let comma = if members == "}" { "" } else { "," };
    format!("{{\"{HASHES}\":{{{hashes}}}{comma}{members}")
}

/// The document without the hashes that [`with_hashes`] has put before it.
fn without_hashes(document: &str) -> String {
    // Neither paths nor hashes contain braces.
    let Some((_, members)) = document.split_once('}') else { return document.to_owned() };
    format!("{{{}", members.strip_prefix(',').unwrap_or(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_come_before_a_document_and_leave_no_trace() {
        for document in ["{}", r#"{"a":1}"#, r#"{"$hashes":{"a":"b"},"c":{}}"#, r#"{"$hashes":{}}"#] {
            for hashes in ["", r#""email":"h1""#, r#""email":"h1","in.name":"h2""#] {
                let stored = with_hashes(hashes, document);
                assert!(has_hashes(&stored));
                assert!(serde_json::from_str::<serde_json::Value>(&stored).is_ok(), "{stored}");
                assert_eq!(without_hashes(&stored), document);
            }
        }
        for document in ["", "{}", "1", r#"{"$hashes":1}"#, r#"{"a":{"$hashes":{}}}"#] {
            assert!(!has_hashes(document), "{document}");
        }
    }
}
