//! Encryption at rest: what is sealed in the store, who still reads it, and what is forgotten.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_config::{Config, Encryption};
use dormouse_encryption::store::{DestroyedKey, Error, KeyCounts, LiveKey, Memory as MemoryKeys, StoredKey};
use dormouse_encryption::{
    DataKeys, KeyId, KeyStore, Options as KeyOptions, Subject, SubjectHash, Wrapped, WrappingKeyFile, WrappingKeyId,
};
use dormouse_engine::{Aggregates, CommandError, CommandOptions, Engine, Outcome};
use dormouse_faults::Faulty;
use dormouse_journal::{AsOf, Journal, Options, PageLimit, Store};
use dormouse_kernel::{
    Aggregate, AggregateId, AggregateRef, AggregateType, Chain, Context, DomainEvent, Personal, Position,
    RecordedEvent, Timestamp, Version, decode,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::{Notify, RwLock};

use crate::world::{PATIENCE, config, every, forgetful, id, keyed, sleepy, soon};

const ADA: &str = "Ada Lovelace of Ockham Park";
const GRACE: &str = "Grace Hopper of Arlington";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Learner {
    name: Personal<String>,
    lessons: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum LearnerCommand {
    Enrol { name: Personal<String> },
    Learn {},
    Recommend { to: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum LearnerEvent {
    Enrolled { name: Personal<String> },
    Learned {},
    Recommended {},
}

impl DomainEvent for LearnerEvent {}

impl Aggregate for Learner {
    const TYPE: &'static str = "learner";
    type Command = LearnerCommand;
    type Event = LearnerEvent;
    type Reply = Personal<String>;
    type Rejection = std::convert::Infallible;

    fn decide(
        &self,
        command: LearnerCommand,
        context: &mut Context<Self>,
    ) -> Result<Personal<String>, std::convert::Infallible> {
        match command {
            LearnerCommand::Enrol { name } => context.emit(LearnerEvent::Enrolled { name }),
            LearnerCommand::Learn {} => context.emit(LearnerEvent::Learned {}),
            LearnerCommand::Recommend { to } => {
                context.emit(LearnerEvent::Recommended {});
                context.send::<Self>(to, LearnerCommand::Enrol { name: self.name.clone() });
            }
        }
        Ok(context.state().name.clone())
    }

    fn evolve(&mut self, event: &LearnerEvent) {
        match event {
            LearnerEvent::Enrolled { name } => self.name = name.clone(),
            LearnerEvent::Learned {} => self.lessons += 1,
            LearnerEvent::Recommended {} => {}
        }
    }
}

struct Place {
    store: Arc<Faulty>,
    keys: DataKeys,
    _wrapping: TempDir,
}

impl Place {
    async fn new() -> Self {
        Self::with(Arc::new(MemoryKeys::new()), KeyOptions::default()).await
    }

    async fn with(keys: Arc<dyn KeyStore>, options: KeyOptions) -> Self {
        let wrapping = tempfile::tempdir().unwrap();
        let path = wrapping.path().join("wrapping.keys");
        WrappingKeyFile::create(&path, Timestamp::now()).unwrap();
        let file = Arc::new(WrappingKeyFile::open(&path).unwrap());
        let keys = DataKeys::open(keys, file, options).await.unwrap();
        Self { store: Faulty::in_memory(), keys, _wrapping: wrapping }
    }

    async fn start(&self, encryption: Encryption, mut config: Config) -> World {
        config.journal.encryption = encryption;
        let options = Options { data_keys: Some(self.keys.clone()), ..Options::default() };
        let journal = Journal::start(Arc::clone(&self.store) as Arc<dyn Store>, options).await.unwrap();
        let engine = Engine::builder(config).aggregate::<Learner>().start(journal).await.unwrap();
        let learners = engine.aggregates::<Learner>().unwrap();
        World { engine, learners }
    }

    async fn rows(&self) -> Vec<RecordedEvent> {
        self.store.inner().read_log(Position::ZERO, PageLimit::ALL).await.unwrap().events
    }

    /// Whether the log or a snapshot of a learner has these bytes.
    async fn has(&self, text: &str) -> bool {
        let mut stored: Vec<Vec<u8>> = Vec::new();
        for row in self.rows().await {
            let snapshot = self.store.inner().snapshot(&row.aggregate, AsOf::Now).await.unwrap();
            stored.extend(snapshot.map(|snapshot| snapshot.body));
            stored.extend([row.event.payload, row.event.metadata]);
        }
        stored.iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    async fn forget(&self, learner: &str) {
        let certificate = self.keys.forget(&Subject::new(format!("learner/{learner}")).unwrap()).await.unwrap();
        assert_eq!(certificate.destroyed, 1);
    }
}

struct World {
    engine: Engine,
    learners: Aggregates<Learner>,
}

impl World {
    async fn execute(
        &self,
        learner: &str,
        command: LearnerCommand,
        options: CommandOptions,
    ) -> Outcome<Personal<String>> {
        self.learners.execute(id(learner), command, options).await.unwrap()
    }

    async fn enrol(&self, learner: &str, name: &str) {
        self.execute(learner, enrol(name), CommandOptions::default()).await;
    }

    async fn learn(&self, learner: &str) {
        self.execute(learner, LearnerCommand::Learn {}, CommandOptions::default()).await;
    }

    async fn name(&self, learner: &str) -> Personal<String> {
        self.learners.state(&id(learner)).await.unwrap().state.name
    }

    async fn drain(self) {
        assert!(self.engine.drain(PATIENCE).await.complete);
    }
}

fn enrol(name: &str) -> LearnerCommand {
    LearnerCommand::Enrol { name: name.into() }
}

fn known(name: &str) -> Personal<String> {
    name.into()
}

fn aggregate(learner: &str) -> AggregateRef {
    AggregateRef::new(AggregateType::new("learner").unwrap(), AggregateId::new(learner).unwrap())
}

const MODES: [Encryption; 2] = [Encryption::Personal, Encryption::All];

#[tokio::test]
async fn no_personal_value_is_in_the_log_or_in_a_snapshot_and_all_readers_get_it_back() {
    for mode in MODES {
        let place = Place::new().await;
        let world = place.start(mode, every(1, config())).await;
        // A feed that has begun before the commits gets them from memory.
        let mut feed = world.engine.journal().feed(Position::ZERO);
        world.execute("ada", enrol(ADA), keyed("k")).await;
        world.execute("ada", LearnerCommand::Recommend { to: "grace".to_owned() }, CommandOptions::default()).await;
        let history = world.learners.history(&id("ada"), Version::ZERO, PageLimit::events(10)).await.unwrap();
        let [first, _] = &history.events[..] else { panic!("{history:?}") };
        assert_eq!(decode::<LearnerName>(&first.event.payload).unwrap().name, known(ADA));
        assert_eq!(feed.next(10).await.unwrap()[0].event.payload, first.event.payload);
        assert_eq!(
            world.learners.state_as_of(&id("ada"), AsOf::Version(Version(1))).await.unwrap().state.name,
            known(ADA)
        );
        world.drain().await;
        assert!(!place.store.snapshots("ada").is_empty());
        assert!(!place.has(ADA).await);
        let world = place.start(mode, config()).await;
        assert_eq!(world.name("ada").await, known(ADA));
        assert_eq!(
            world.engine.journal().feed(Position::ZERO).next(10).await.unwrap()[0].event.payload,
            first.event.payload
        );
        world.drain().await;
    }
}

#[derive(Deserialize)]
struct LearnerName {
    name: Personal<String>,
}

#[tokio::test]
async fn with_all_also_events_without_personal_values_cannot_be_read_in_the_log() {
    for (mode, is_readable) in [(Encryption::Personal, true), (Encryption::All, false)] {
        let place = Place::new().await;
        let world = place.start(mode, config()).await;
        world.learn("ada").await;
        let rows = place.rows().await;
        assert_eq!(decode::<std::collections::BTreeMap<String, u8>>(&rows[0].event.payload).is_ok(), is_readable);
        world.drain().await;
    }
}

#[tokio::test]
async fn the_chain_of_what_is_stored_is_whole_before_and_after_a_subject_was_forgotten() {
    for mode in MODES {
        let place = Place::new().await;
        let world = place.start(mode, config()).await;
        world.execute("ada", enrol(ADA), keyed("k")).await;
        world.learn("ada").await;
        let before = place.rows().await;
        place.forget("ada").await;
        world.learn("ada").await;
        let mut chain = Chain::ROOT;
        let after = place.rows().await;
        assert_eq!(after[..2], before);
        for row in after {
            assert!(row.follows(chain));
            chain = row.event.chain;
        }
        world.drain().await;
    }
}

#[tokio::test]
async fn a_forgotten_subject_is_forgotten_by_the_live_the_dormant_and_the_snapshotted_and_others_are_not() {
    for (mode, config) in
        MODES.into_iter().flat_map(|mode| [config(), sleepy(), every(1, forgetful())].map(|config| (mode, config)))
    {
        let place = Place::new().await;
        let world = place.start(mode, config).await;
        world.enrol("ada", ADA).await;
        world.enrol("grace", GRACE).await;
        world.learn("ada").await;
        assert_eq!(world.name("ada").await, known(ADA));
        place.forget("ada").await;
        assert_eq!(world.name("ada").await, Personal::Forgotten);
        assert_eq!(world.name("grace").await, known(GRACE));
        let lessons = world.learners.state(&id("ada")).await.unwrap().state.lessons;
        assert_eq!(lessons, 1);
        // Life goes on: what is sealed from now on can be read.
        world.learn("ada").await;
        world.enrol("ada", "Ada King").await;
        assert_eq!(world.name("ada").await, known("Ada King"));
        world.drain().await;
        assert!(!place.has(ADA).await && !place.has(GRACE).await);
    }
}

#[tokio::test]
async fn a_repeated_command_gets_its_reply_and_another_one_under_its_key_is_refused() {
    for mode in MODES {
        let place = Place::new().await;
        let world = place.start(mode, config()).await;
        world.execute("ada", enrol(ADA), keyed("k")).await;
        let again = world.execute("ada", enrol(ADA), keyed("k")).await;
        assert!(again.repeated);
        assert_eq!(again.reply, known(ADA));
        let other = world.learners.execute(id("ada"), enrol(GRACE), keyed("k")).await;
        assert!(matches!(other, Err(CommandError::KeyReused)), "{other:?}");
        place.forget("ada").await;
        assert_eq!(world.execute("ada", enrol(ADA), keyed("k")).await.reply, Personal::Forgotten);
        world.drain().await;
    }
}

#[tokio::test]
async fn the_record_of_a_command_does_not_tell_which_of_two_guesses_was_sent() {
    let place = Place::new().await;
    let world = place.start(Encryption::Personal, config()).await;
    world.execute("ada", enrol(ADA), keyed("k")).await;
    let record = place.rows().await[0].metadata().unwrap().command.unwrap();
    let guessed = dormouse_kernel::Fingerprint::of(&dormouse_kernel::encode(&enrol(ADA)).unwrap());
    assert!(record.fingerprint.is_some_and(|stored| stored != guessed));
    world.drain().await;
}

#[tokio::test]
async fn a_message_is_opened_for_its_receiver_only() {
    let place = Place::new().await;
    let world = place.start(Encryption::Personal, config()).await;
    world.enrol("ada", ADA).await;
    world.execute("ada", LearnerCommand::Recommend { to: "grace".to_owned() }, CommandOptions::default()).await;
    let outgoing = place.rows().await[1].outgoing().unwrap().unwrap();
    let sealed = outgoing.messages[0].to.command();
    let opened = world.learners.opened_command(&id("grace"), sealed).await.unwrap();
    let LearnerCommand::Enrol { name } = decode(&opened).unwrap() else { panic!("another command") };
    assert_eq!(name, known(ADA));
    assert!(world.learners.opened_command(&id("ada"), sealed).await.is_err());
    place.forget("ada").await;
    let opened = world.learners.opened_command(&id("grace"), sealed).await.unwrap();
    let LearnerCommand::Enrol { name } = decode(&opened).unwrap() else { panic!("another command") };
    assert_eq!(name, Personal::Forgotten);
    world.drain().await;
}

#[tokio::test]
async fn encryption_can_be_turned_on_and_off_again() {
    let place = Place::new().await;
    for (mode, learner) in [(Encryption::Off, "a"), (Encryption::Personal, "b"), (Encryption::All, "c")] {
        let world = place.start(mode, every(1, config())).await;
        world.enrol(learner, ADA).await;
        world.drain().await;
    }
    assert!(place.has(ADA).await);
    let world = place.start(Encryption::Off, config()).await;
    for learner in ["a", "b", "c"] {
        assert_eq!(world.name(learner).await, known(ADA));
    }
    assert_eq!(place.store.inner().versions(&[aggregate("a")]).await.unwrap(), [Version(1)]);
    place.forget("b").await;
    assert_eq!(world.name("b").await, Personal::Forgotten);
    world.drain().await;
}

/// Keys that are found only while nobody holds them up.
#[derive(Debug, Default)]
struct Held {
    keys: MemoryKeys,
    gate: RwLock<()>,
    finding: Notify,
}

#[async_trait]
impl KeyStore for Held {
    async fn get(&self, ids: &[KeyId]) -> Result<Vec<StoredKey>, Error> {
        self.finding.notify_one();
        let _open = self.gate.read().await;
        self.keys.get(ids).await
    }

    async fn find(&self, subject: SubjectHash) -> Result<Option<LiveKey>, Error> {
        self.finding.notify_one();
        let _open = self.gate.read().await;
        self.keys.find(subject).await
    }

    async fn create(&self, key: &LiveKey) -> Result<LiveKey, Error> {
        self.keys.create(key).await
    }

    async fn destroy(&self, subject: SubjectHash, now: Timestamp) -> Result<Vec<DestroyedKey>, Error> {
        self.keys.destroy(subject, now).await
    }

    async fn wrapped_by_others(
        &self,
        current: &WrappingKeyId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<LiveKey>, Error> {
        self.keys.wrapped_by_others(current, after, limit).await
    }

    async fn rewrap(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, Error> {
        self.keys.rewrap(id, from, to).await
    }

    async fn counts(&self) -> Result<KeyCounts, Error> {
        self.keys.counts().await
    }

    async fn close(&self) {
        self.keys.close().await;
    }
}

#[tokio::test]
async fn what_is_forgotten_while_a_decision_waits_for_its_key_is_not_stored_under_a_new_key() {
    let held = Arc::new(Held::default());
    let no_cache = KeyOptions { cached_for: Duration::ZERO, ..KeyOptions::default() };
    let place = Place::with(Arc::clone(&held) as Arc<dyn KeyStore>, no_cache).await;
    let world = place.start(Encryption::Personal, config()).await;
    world.enrol("ada", ADA).await;
    // What was found so far.
    held.finding.notified().await;
    let closed = held.gate.write().await;
    let learners = world.learners.clone();
    let repeat = |name: &'static str| {
        let learners = learners.clone();
        tokio::spawn(async move { learners.execute(id("ada"), enrol(name), CommandOptions::default()).await })
    };
    let waiting = repeat(ADA);
    held.finding.notified().await;
    place.forget("ada").await;
    drop(closed);
    let refused = waiting.await.unwrap();
    assert!(matches!(refused, Err(CommandError::Unavailable(_))), "{refused:?}");
    assert_eq!(world.name("ada").await, Personal::Forgotten);
    repeat("Ada King").await.unwrap().unwrap();
    assert_eq!(world.name("ada").await, known("Ada King"));
    world.drain().await;
}

#[tokio::test]
async fn a_feed_that_is_dropped_while_it_waits_for_a_key_loses_no_event() {
    let held = Arc::new(Held::default());
    let no_cache = KeyOptions { cached_for: Duration::ZERO, ..KeyOptions::default() };
    let place = Place::with(Arc::clone(&held) as Arc<dyn KeyStore>, no_cache).await;
    let world = place.start(Encryption::Personal, config()).await;
    let mut feed = world.engine.journal().feed(Position::ZERO);
    world.enrol("ada", ADA).await;
    // What was found so far.
    held.finding.notified().await;
    let closed = held.gate.write().await;
    tokio::select! {
        events = feed.next(10) => panic!("{events:?}"),
        () = held.finding.notified() => {}
    }
    drop(closed);
    let events = soon(feed.next(10)).await.unwrap();
    assert_eq!(decode::<LearnerName>(&events[0].event.payload).unwrap().name, known(ADA));
    world.drain().await;
}
