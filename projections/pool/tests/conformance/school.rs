//! Learners, with personal data in their events, and a view of them whose documents are sealed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_encryption::store::{DestroyedKey, Error, KeyCounts, LiveKey, Memory, StoredKey};
use dormouse_encryption::{
    DataKeys, KeyId, KeyStore, Options as KeyOptions, Subject, SubjectHash, Wrapped, WrappingKeyFile, WrappingKeyId,
};
use dormouse_journal::store::{Memory as MemoryJournal, Retention};
use dormouse_journal::{Append, Journal};
use dormouse_kernel::{
    Aggregate, AggregateId, AggregateRef, AggregateType, Chain, Context, DomainEvent, EventCodec, EventId, Metadata,
    NewEvent, Personal, Position, Timestamp, Uuid, Version, encode,
};
use dormouse_projections::{
    Definition, Event, Fields, Key, Keys, Options, Page, Project, Projection, Projections, Query, Reader, Sources,
    Test, ViewStore,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::support::{Place, key, loaded};

/// Longer than any step of these tests, and short enough for a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Learner;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Address {
    pub(crate) city: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum LearnerEvent {
    Enrolled {
        email: Personal<String>,
        born: Personal<i64>,
        address: Option<Personal<Address>>,
    },
    Advanced {},
    /// The document has no subject any more.
    Anonymized {},
    /// The projection panics.
    Stumbled {},
}

impl DomainEvent for LearnerEvent {}

impl Aggregate for Learner {
    const TYPE: &'static str = "learner";
    type Command = LearnerEvent;
    type Event = LearnerEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, event: LearnerEvent, context: &mut Context<Self>) -> Result<(), std::convert::Infallible> {
        context.emit(event);
        Ok(())
    }

    fn evolve(&mut self, _: &LearnerEvent) {}
}

/// Each learner. With another number, the same view from other code, which projects every event, and declares one more
/// field.
pub(crate) struct Learners<const CODE: u8>;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Document {
    email: Option<Personal<String>>,
    born: Option<Personal<i64>>,
    address: Option<Personal<Address>>,
    level: u32,
    subject: String,
}

impl<const CODE: u8> Projection for Learners<CODE> {
    const NAME: &'static str = "learners";
    type Document = Document;

    fn fields() -> Fields {
        let fields = Fields::none().text("email").integer("born").text("address.city");
        let fields = fields.integer("level").text("subject");
        // The store then fits the table to the fields.
        if CODE == 2 { fields.boolean("graduated") } else { fields }
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Learner>()
    }

    fn data_subject<'d>(_: &'d Key, document: &'d Document) -> Cow<'d, str> {
        Cow::Borrowed(&document.subject)
    }
}

impl<const CODE: u8> Project<Learner> for Learners<CODE> {
    fn keys(event: &Event<'_, Learner>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<Document>, event: &Event<'_, Learner>, key: &Key) -> Option<Document> {
        let subject = format!("school/learner/{key}");
        let new = Document { email: None, born: None, address: None, level: 0, subject };
        let mut document = current.unwrap_or(new);
        match event.body() {
            LearnerEvent::Enrolled { email, born, address } => {
                document.email = Some(email.clone());
                document.born = Some(*born);
                document.address.clone_from(address);
            }
            LearnerEvent::Advanced {} => document.level += 1,
            LearnerEvent::Anonymized {} => document.subject.clear(),
            LearnerEvent::Stumbled {} if CODE == 1 => panic!("a test wants this"),
            LearnerEvent::Stumbled {} => {}
        }
        Some(document)
    }
}

/// A journal of learners, and their view in some place.
pub(crate) struct School {
    pub(crate) journal: Journal,
    pub(crate) store: Arc<dyn ViewStore>,
    pub(crate) key_store: Arc<Interrupted>,
    pub(crate) keys: DataKeys,
    pub(crate) projections: Projections,
    chains: HashMap<AggregateRef, (Version, Chain)>,
    wrapping: TempDir,
}

impl School {
    pub(crate) async fn at(place: &Place) -> Self {
        Self::with(place, KeyOptions::default(), options()).await
    }

    /// No data key stays in memory: all of them are read from their store.
    pub(crate) async fn without_cached_keys(place: &Place) -> Self {
        Self::with(place, uncached(), options()).await
    }

    /// The same, and the pause between two attempts is longer than any test. What is not repeated at once fails.
    pub(crate) async fn with_slow_retries(place: &Place) -> Self {
        let mut options = options();
        (options.supervision.backoff_min, options.supervision.backoff_max) = (2 * PATIENCE, 2 * PATIENCE);
        Self::with(place, uncached(), options).await
    }

    async fn with(place: &Place, key_options: KeyOptions, options: Options) -> Self {
        let (store, key_store, wrapping) = (place.store().await, Arc::default(), tempfile::tempdir().unwrap());
        WrappingKeyFile::create(&wrapping.path().join("wrapping.keys"), Timestamp::now()).unwrap();
        let keys = open_keys(&key_store, &wrapping, key_options).await;
        let retention = Retention { keep_count: 1, max_age: Duration::from_secs(1), keep_sparse: 0 };
        let journal = Arc::new(MemoryJournal::new(retention));
        let journal = Journal::start(journal, dormouse_journal::Options::default()).await.unwrap();
        let options = Options { keys: Some(keys.clone()), ..options };
        let projections = start::<1>(&journal, &store, options).await;
        Self { journal, store, key_store, keys, projections, chains: HashMap::new(), wrapping }
    }

    /// Stops the projections, and starts them with other code or other options.
    pub(crate) async fn restart<const CODE: u8>(&mut self, options: Options) {
        self.projections.stop().await;
        self.projections = start::<CODE>(&self.journal, &self.store, options).await;
    }

    /// The data keys as another process has them.
    pub(crate) async fn keys_elsewhere(&self) -> DataKeys {
        open_keys(&self.key_store, &self.wrapping, KeyOptions::default()).await
    }

    pub(crate) async fn enroll(&mut self, id: &str, email: &str, born: i64, city: &str) {
        let address = Some(Address { city: city.to_owned() }.into());
        self.write(id, LearnerEvent::Enrolled { email: email.into(), born: born.into(), address }).await;
    }

    pub(crate) async fn advance(&mut self, id: &str) {
        self.write(id, LearnerEvent::Advanced {}).await;
    }

    /// Writes an event, and waits until the view has it.
    pub(crate) async fn write(&mut self, id: &str, event: LearnerEvent) {
        let position = self.append(id, event).await;
        self.reader().wait_for(position, PATIENCE).await.unwrap();
    }

    pub(crate) async fn append(&mut self, id: &str, event: LearnerEvent) -> Position {
        let codec = EventCodec::<LearnerEvent>::new().unwrap();
        let encoded = codec.encode(&event).unwrap();
        let aggregate = learner(id);
        let (version, chain) = self.chains.entry(aggregate.clone()).or_insert((Version::ZERO, Chain::ROOT));
        let expected = *version;
        let mut event = NewEvent {
            event_type: encoded.name.to_owned().into(),
            schema_version: encoded.schema_version,
            payload: encoded.fields,
            metadata: metadata(),
            recorded_at: Timestamp::UNIX_EPOCH,
            chain: *chain,
        };
        *version = version.next();
        event.chain = chain.next(&aggregate, *version, None, &event);
        *chain = event.chain;
        self.journal.append(Append { aggregate, expected, key: None, events: vec![event] }).await.unwrap().last
    }

    pub(crate) async fn forget(&self, id: &str) {
        self.keys.forget(&subject(id)).await.unwrap();
    }

    pub(crate) fn reader(&self) -> Reader {
        self.projections.reader("learners").unwrap().clone()
    }

    /// A document as a reader gets it.
    pub(crate) async fn read(&self, id: &str) -> Json {
        let found = self.reader().get(&key(id)).await.unwrap();
        serde_json::from_str(&found.document.unwrap().0).unwrap()
    }

    /// A document as it is stored.
    pub(crate) async fn stored(&self, id: &str) -> String {
        let build = self.reader().progress().borrow().build.unwrap();
        let mut found = loaded(&*self.store, &definition(), build, &[key(id)]).await.unwrap();
        found.remove(0).1
    }

    pub(crate) async fn list(&self, query: &Query) -> Page {
        self.reader().list(query).await.unwrap()
    }

    /// The keys of the documents that pass a test.
    pub(crate) async fn found(&self, path: &str, test: Test) -> Vec<String> {
        let query = Query::all(100).filter(&definition(), path, test).unwrap();
        self.list(&query).await.rows.iter().map(|row| row.key.to_string()).collect()
    }
}

/// What is transient is retried almost at once, and any other failure stops the view.
pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.supervision.restarts = 0;
    options.supervision.backoff_min = Duration::from_millis(1);
    options.supervision.backoff_max = Duration::from_millis(2);
    options
}

fn uncached() -> KeyOptions {
    KeyOptions { cached_for: Duration::from_nanos(1), ..KeyOptions::default() }
}

async fn start<const CODE: u8>(journal: &Journal, store: &Arc<dyn ViewStore>, options: Options) -> Projections {
    let builder = Projections::builder(journal.clone(), Arc::clone(store), options);
    builder.projection::<Learners<CODE>>().start().await.unwrap()
}

async fn open_keys(store: &Arc<Interrupted>, wrapping: &TempDir, options: KeyOptions) -> DataKeys {
    let wrapping = WrappingKeyFile::open(&wrapping.path().join("wrapping.keys")).unwrap();
    DataKeys::open(Arc::clone(store) as _, Arc::new(wrapping), options).await.unwrap()
}

pub(crate) fn definition() -> Definition {
    Definition::of::<Learners<1>>().unwrap()
}

pub(crate) fn subject(id: &str) -> Subject {
    Subject::new(format!("school/learner/{id}")).unwrap()
}

pub(crate) fn learner(id: &str) -> AggregateRef {
    AggregateRef::new(AggregateType::new(Learner::TYPE).unwrap(), AggregateId::new(id).unwrap())
}

fn metadata() -> Vec<u8> {
    let metadata = Metadata {
        event_id: EventId(Uuid::new_v4()),
        correlation: None,
        causation: None,
        subject: None,
        tenant: None,
        traceparent: None,
        outgoing: None,
        command: None,
    };
    encode(&metadata).unwrap()
}

/// Keys in memory, which can be out of reach, and whose subject can be forgotten while its key is looked for.
#[derive(Debug, Default)]
pub(crate) struct Interrupted {
    inner: Memory,
    is_down: AtomicBool,
    forgets: Mutex<Option<(DataKeys, Subject)>>,
}

impl Interrupted {
    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Forgets a subject the next time that its key is looked for, just before it is found.
    pub(crate) fn forget_when_found(&self, keys: &DataKeys, subject: Subject) {
        *self.forgets.lock().unwrap() = Some((keys.clone(), subject));
    }

    fn check(&self) -> Result<(), Error> {
        let is_down = self.is_down.load(Ordering::SeqCst);
        if is_down { Err(Error::Unavailable("a test wants this".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl KeyStore for Interrupted {
    async fn get(&self, ids: &[KeyId]) -> Result<Vec<StoredKey>, Error> {
        self.check()?;
        self.inner.get(ids).await
    }

    async fn find(&self, subject: SubjectHash) -> Result<Option<LiveKey>, Error> {
        self.check()?;
        let is_due = |(keys, wanted): &mut (DataKeys, Subject)| keys.subject_hash(wanted) == subject;
        let forgotten = self.forgets.lock().unwrap().take_if(is_due);
        if let Some((keys, subject)) = forgotten {
            keys.forget(&subject).await.unwrap();
        }
        self.inner.find(subject).await
    }

    async fn create(&self, key: &LiveKey) -> Result<LiveKey, Error> {
        self.check()?;
        self.inner.create(key).await
    }

    async fn destroy(&self, subject: SubjectHash, now: Timestamp) -> Result<Vec<DestroyedKey>, Error> {
        self.inner.destroy(subject, now).await
    }

    async fn wrapped_by_others(
        &self,
        current: &WrappingKeyId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<LiveKey>, Error> {
        self.inner.wrapped_by_others(current, after, limit).await
    }

    async fn rewrap(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, Error> {
        self.inner.rewrap(id, from, to).await
    }

    async fn counts(&self) -> Result<KeyCounts, Error> {
        self.inner.counts().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
