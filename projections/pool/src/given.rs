//! Given, when, then: tests of a projection without a runtime.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

use dormouse_kernel::{
    Aggregate, AggregateId, AggregateRef, AggregateType, Chain, EventCodec, EventId, Metadata, NewEvent, Position,
    RecordedEvent, Timestamp, Uuid, Version, encode,
};

use crate::decoded_batch::{DecodedBatch, decode_event};
use crate::definition::Definition;
use crate::documents::{Changes, Documents, SubjectOf, from_json};
use crate::key::Key;
use crate::projection::{Project, Projection, subject_of};
use crate::sources::{AnySource, Sources};
use crate::store::Row;

/// A view and the events that it has. Every event is encoded and decoded, and every document is written as JSON and
/// read again, so a test also shows that they can be stored.
///
/// See [`Projection`] for an example.
pub struct Given<P: Projection> {
    sources: HashMap<&'static str, AnySource<P>>,
    /// `None`: the documents have no personal fields.
    subject_of: Option<SubjectOf<P::Document>>,
    documents: HashMap<Key, String>,
    versions: HashMap<AggregateRef, Version>,
    position: Position,
    now: Timestamp,
    subject: Option<String>,
    checked: bool,
}

impl<P: Projection> Given<P> {
    /// A view without any events.
    ///
    /// # Panics
    /// If the definition of `P` is wrong: see [`DefinitionError`](crate::DefinitionError).
    #[must_use]
    pub fn nothing() -> Self {
        let (_, personal) = Definition::with_personal::<P>().unwrap_or_else(|error| panic!("{error}"));
        Self {
            sources: Sources::named().unwrap_or_else(|error| panic!("{error}")),
            subject_of: (!personal.is_empty()).then_some(subject_of::<P>),
            documents: HashMap::new(),
            versions: HashMap::new(),
            position: Position::ZERO,
            now: Timestamp::UNIX_EPOCH,
            subject: None,
            checked: true,
        }
    }

    /// The events that follow are recorded at this time. Default: the epoch.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// The events that follow are caused by `subject`. Default: no subject.
    #[must_use]
    pub fn by(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }

    /// Projects events of one aggregate, in order.
    ///
    /// # Panics
    /// If one cannot be stored or projected, or `id` is not an id.
    #[must_use]
    #[track_caller]
    pub fn when<A: Aggregate>(mut self, id: &str, events: impl IntoIterator<Item = A::Event>) -> Self
    where
        P: Project<A>,
    {
        let codec = EventCodec::<A::Event>::new().unwrap_or_else(|error| panic!("{error}"));
        for event in events {
            let encoded = codec.encode(&event).unwrap_or_else(|error| panic!("{error}"));
            let recorded = self.recorded(A::TYPE, id, encoded.name, encoded.schema_version, encoded.fields);
            self.project(recorded);
        }
        self.checked = false;
        self
    }

    /// Projects an event as older code wrote it: its name, the version of its schema, its fields.
    ///
    /// # Panics
    /// If it cannot be stored or projected, or `id` is not an id.
    #[must_use]
    #[track_caller]
    pub fn when_written<A: Aggregate>(
        mut self,
        id: &str,
        name: &'static str,
        schema_version: u32,
        fields: &impl serde::Serialize,
    ) -> Self
    where
        P: Project<A>,
    {
        let fields = encode(fields).unwrap_or_else(|error| panic!("{error}"));
        let recorded = self.recorded(A::TYPE, id, name, schema_version, fields);
        self.project(recorded);
        self.checked = false;
        self
    }

    /// Checks the document under a key.
    ///
    /// # Panics
    /// If it is not as expected.
    #[track_caller]
    pub fn then(mut self, key: &str, expected: &P::Document) -> Self
    where
        P::Document: Debug + PartialEq,
    {
        self.checked = true;
        assert_eq!(self.document(key).as_ref(), Some(expected), "{key}");
        self
    }

    /// Checks that there is no document under a key.
    ///
    /// # Panics
    /// If there is one.
    #[track_caller]
    pub fn then_gone(mut self, key: &str) -> Self
    where
        P::Document: Debug,
    {
        self.checked = true;
        if let Some(document) = self.document(key) {
            panic!("{key} has a document: {document:?}");
        }
        self
    }

    /// Checks that these are all keys of the view, in order.
    ///
    /// # Panics
    /// If there are others.
    #[track_caller]
    pub fn then_keys(mut self, expected: &[&str]) -> Self {
        self.checked = true;
        let mut keys: Vec<&str> = self.documents.keys().map(Key::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, expected);
        self
    }

    fn document(&self, key: &str) -> Option<P::Document> {
        let key = Key::from(key);
        let json = self.documents.get(&key)?;
        Some(from_json(&key, json).unwrap_or_else(|error| panic!("{error}")))
    }

    fn recorded(
        &mut self,
        aggregate_type: &'static str,
        id: &str,
        name: &'static str,
        schema_version: u32,
        payload: Vec<u8>,
    ) -> RecordedEvent {
        let aggregate_type = AggregateType::new(aggregate_type).unwrap_or_else(|error| panic!("{error}"));
        let id = AggregateId::new(id).unwrap_or_else(|error| panic!("{error}"));
        let aggregate = AggregateRef::new(aggregate_type, id);
        self.position = self.position.next();
        let version = self.versions.entry(aggregate.clone()).or_default();
        *version = version.next();
        let metadata = Metadata {
            event_id: EventId(Uuid::from_u128(u128::from(self.position.0))),
            correlation: None,
            causation: None,
            subject: self.subject.clone(),
            tenant: None,
            traceparent: None,
            outgoing: None,
            command: None,
        };
        let event = NewEvent {
            event_type: name.into(),
            schema_version,
            payload,
            metadata: encode(&metadata).unwrap_or_else(|error| panic!("{error}")),
            recorded_at: self.now,
            chain: Chain::ROOT,
        };
        RecordedEvent { position: self.position, aggregate, version: *version, command_key: None, event }
    }

    fn project(&mut self, recorded: RecordedEvent) {
        let mut batch = DecodedBatch::with_capacity(1);
        batch.add(decode_event(recorded, &self.sources), &HashSet::new());
        let mut documents = Documents::new(0, self.subject_of);
        let missing = documents.missing(batch.keys());
        let found = missing.iter().filter_map(|key| Some((key.clone(), self.documents.get(key)?.clone()))).collect();
        documents.insert(missing, found).unwrap_or_else(|error| panic!("{error}"));
        for number in 0..batch.len() {
            let projected = batch.project_or_park(number, &mut documents);
            projected.unwrap_or_else(|error| panic!("{error}"));
        }
        if let Some(parked) = batch.into_parked(1).first() {
            panic!("{}", parked.reason.as_deref().unwrap_or_default());
        }
        let Changes { rows, gone, .. } = documents.changes().unwrap_or_else(|error| panic!("{error}"));
        self.documents.extend(rows.into_iter().map(|Row { key, document, .. }| (key, document)));
        gone.iter().for_each(|key| _ = self.documents.remove(key));
    }
}

/// Panics if nothing was checked after the last event, because such a test cannot fail.
impl<P: Projection> Drop for Given<P> {
    fn drop(&mut self) {
        if !self.checked && !std::thread::panicking() {
            panic!("`when` without a `then`: this test cannot fail");
        }
    }
}

impl<P: Projection> Debug for Given<P> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Given").field("documents", &self.documents).finish_non_exhaustive()
    }
}
