//! A log, a bus that does what a test says, and messaging between them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_journal::store::Retention;
use dormouse_journal::{Append, Journal, Options as JournalOptions};
use dormouse_kernel::{
    Aggregate, AggregateId, AggregateRef, AggregateType, Backoff, Chain, Clock, CommandKey, Context, DomainEvent,
    EventId, Message, Metadata, NewEvent, OUTGOING_EVENT, OUTGOING_PAYLOAD, Outgoing, Position, Refusal, Rejection,
    SystemClock, SystemIds, TimerChange, Timestamp, Upcasters, Uuid, Version, decode, encode,
};
use dormouse_messaging::store::{self, JobRow, JobStateName};
use dormouse_messaging::{
    Builder, CarriedOut, ClientCommand, CommandBus, ConsumerInfo, Delivered, Delivery, Ending, FinalRefusal, Messaging,
    Operation, OperationEvent, OperationStatus, Options, PoolLimits, QueueOptions, QueueStore, RequestedCommand,
    StartError, Success,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

/// An aggregate of which only the events matter.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Note;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum NoteCommand {
    Write { text: String },
    Forget {},
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum NoteEvent {
    Written { text: String },
    Forgotten {},
}

impl DomainEvent for NoteEvent {
    fn upcasters() -> Upcasters {
        #[derive(Serialize, Deserialize)]
        struct Scribbled {
            words: Vec<String>,
        }
        #[derive(Serialize, Deserialize)]
        struct Written {
            text: String,
        }
        Upcasters::new()
            .rename("Scribbled", "Written")
            .upcast("Written", 1, |old: Scribbled| Written { text: old.words.join(" ") })
    }
}

impl Aggregate for Note {
    const TYPE: &'static str = "note";
    type Command = NoteCommand;
    type Event = NoteEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, _: NoteCommand, _: &mut Context<Self>) -> Result<(), std::convert::Infallible> {
        Ok(())
    }

    fn evolve(&mut self, _: &NoteEvent) {}
}

/// Messaging with the log and the store that survive it.
pub(crate) struct World {
    pub(crate) journal: Journal,
    store: store::Memory,
    pub(crate) bus: Arc<Bus>,
    pub(crate) messaging: Messaging,
    chains: Mutex<HashMap<AggregateRef, (Version, Chain)>>,
    options: Options,
    clock: Arc<dyn Clock>,
}

pub(crate) fn options() -> Options {
    let pool = PoolLimits { workers_min: 32, workers_max: 32, scale_up_above: 500, scale_down_below: 100 };
    let backoff = Backoff { first: Duration::from_millis(5), longest: Duration::from_millis(20) };
    let queue = QueueOptions { pool, tries: 3, backoff, timeout: Duration::from_secs(60) };
    Options {
        shards: 4,
        queues: vec![("default", queue), ("modules", queue), ("commands", queue)],
        messages: queue,
        paused: Vec::new(),
        disabled: Vec::new(),
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(options(), |builder| builder).await
    }

    pub(crate) async fn with(options: Options, add: impl FnOnce(Builder) -> Builder) -> Self {
        Self::with_clock(options, Arc::new(SystemClock), add).await
    }

    pub(crate) async fn with_clock(
        options: Options,
        clock: Arc<dyn Clock>,
        add: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let retention = Retention { keep_count: 1, max_age: Duration::ZERO, keep_sparse: 0 };
        let log = Arc::new(dormouse_journal::store::Memory::new(retention));
        let journal = Journal::start(log, JournalOptions::default()).await.unwrap();
        let (store, bus) = (store::Memory::new(), Arc::new(Bus::default()));
        let messaging = start(&journal, &store, &bus, &options, &clock, add).await;
        Self { journal, store, bus, messaging, chains: Mutex::default(), options, clock }
    }

    /// Stops messaging, and starts it again on the same log and the same store.
    pub(crate) async fn restarted(self, add: impl FnOnce(Builder) -> Builder) -> Self {
        self.messaging.stop(Instant::now() + Duration::from_secs(5)).await;
        self.started_again(add).await
    }

    pub(crate) async fn started_again(self, add: impl FnOnce(Builder) -> Builder) -> Self {
        let store = self.store.open_again();
        let messaging = start(&self.journal, &store, &self.bus, &self.options, &self.clock, add).await;
        Self { store, messaging, ..self }
    }

    /// Starts messaging again, with the same log and without what the store had.
    pub(crate) async fn started_without_progress(self) -> Self {
        self.messaging.stop(Instant::now() + Duration::from_secs(5)).await;
        Self { store: store::Memory::new(), ..self }.started_again(|builder| builder).await
    }

    /// Why messaging does not start on the log of this world with the store of another one.
    pub(crate) async fn refused_with_store_of(&self, other: &Self) -> StartError {
        let (store, bus) = (Arc::new(other.store.open_again()), Arc::clone(&self.bus) as Arc<dyn CommandBus>);
        let builder = Messaging::builder(self.journal.clone(), store, bus, ["note".to_owned()], self.options.clone());
        builder.start(self.journal.epoch()).await.expect_err("messaging does not start")
    }

    /// As if other options had been configured before the next start.
    pub(crate) fn configured(self, options: Options) -> Self {
        Self { options, ..self }
    }

    pub(crate) fn store(&self) -> &dyn QueueStore {
        &self.store
    }

    /// Appends an event of a note.
    pub(crate) async fn write(&self, note: &str, text: &str) -> Position {
        let event = NoteEvent::Written { text: text.to_owned() };
        let fields = encode(&event).unwrap();
        // `{"Written": fields}`: a map of one, a text of 7 bytes.
        self.append(note, "Written", 2, fields[9..].to_vec(), Outgoing::default()).await
    }

    /// Appends a row that only sends and schedules.
    pub(crate) async fn send(&self, note: &str, messages: Vec<Message>) -> Position {
        let outgoing = Outgoing { messages, timers: Vec::new() };
        self.append(note, OUTGOING_EVENT, 1, OUTGOING_PAYLOAD.to_vec(), outgoing).await
    }

    pub(crate) async fn schedule(&self, note: &str, timers: Vec<TimerChange>) -> Position {
        let outgoing = Outgoing { messages: Vec::new(), timers };
        self.append(note, OUTGOING_EVENT, 1, OUTGOING_PAYLOAD.to_vec(), outgoing).await
    }

    pub(crate) async fn append(
        &self,
        note: &str,
        event_type: &'static str,
        schema_version: u32,
        payload: Vec<u8>,
        outgoing: Outgoing,
    ) -> Position {
        self.append_to(note_ref(note), event_type, schema_version, payload, outgoing).await
    }

    /// Appends the request of an operation.
    pub(crate) async fn request(&self, operation: &str, requested: RequestedCommand) -> Position {
        let fields = encode(&requested).unwrap();
        self.bus.request(operation, requested);
        self.append_to(operation_ref(operation), "Requested", 1, fields, Outgoing::default()).await
    }

    async fn append_to(
        &self,
        aggregate: AggregateRef,
        event_type: &'static str,
        schema_version: u32,
        payload: Vec<u8>,
        outgoing: Outgoing,
    ) -> Position {
        let (expected, chain) =
            *self.chains.lock().unwrap().entry(aggregate.clone()).or_insert((Version::ZERO, Chain::ROOT));
        let metadata = Metadata {
            event_id: EventId(Uuid::now_v7()),
            correlation: Some("c-1".to_owned()),
            causation: None,
            subject: Some("ada".to_owned()),
            tenant: None,
            traceparent: None,
            command: None,
            outgoing: Some(outgoing).filter(|outgoing| !outgoing.is_empty()).map(Box::new),
        };
        let mut event = NewEvent {
            event_type: event_type.into(),
            schema_version,
            payload,
            metadata: encode(&metadata).unwrap(),
            recorded_at: Timestamp::now(),
            chain,
        };
        event.chain = chain.next(&aggregate, expected.next(), None, &event);
        self.chains.lock().unwrap().insert(aggregate.clone(), (expected.next(), event.chain));
        let append = Append { aggregate, expected, key: None, events: vec![event] };
        self.journal.append(append).await.unwrap().last
    }

    pub(crate) async fn info(&self, consumer: &str) -> ConsumerInfo {
        let consumers = self.messaging.consumers().await.unwrap();
        consumers.into_iter().find(|info| info.name.as_str() == consumer).expect("the consumer exists")
    }

    /// Waits until a consumer has nothing left to do.
    pub(crate) async fn idle(&self, consumer: &str) {
        eventually(async || {
            let info = self.info(consumer).await;
            (info.lag, info.ready, info.running, info.jobs.waiting) == (0, 0, 0, 0)
        })
        .await;
    }

    pub(crate) async fn dead(&self, consumer: &str) -> Vec<JobRow> {
        self.messaging.jobs(consumer, JobStateName::Dead, None, 1000).await.unwrap()
    }
}

async fn start(
    journal: &Journal,
    store: &store::Memory,
    bus: &Arc<Bus>,
    options: &Options,
    clock: &Arc<dyn Clock>,
    add: impl FnOnce(Builder) -> Builder,
) -> Messaging {
    let store = Arc::new(store.open_again());
    let bus: Arc<dyn CommandBus> = bus.clone();
    let builder = Messaging::builder(journal.clone(), store, bus, ["note".to_owned()], options.clone());
    add(builder.clock(Arc::clone(clock))).start(journal.epoch()).await.unwrap()
}

pub(crate) fn note_ref(note: &str) -> AggregateRef {
    AggregateRef::new(AggregateType::new("note").unwrap(), AggregateId::new(note).unwrap())
}

fn operation_ref(operation: &str) -> AggregateRef {
    AggregateRef::new(AggregateType::new(Operation::TYPE).unwrap(), AggregateId::new(operation).unwrap())
}

pub(crate) fn write(text: &str) -> NoteCommand {
    NoteCommand::Write { text: text.to_owned() }
}

/// Waits for a condition.
pub(crate) async fn eventually(condition: impl AsyncFn() -> bool) {
    let holds = async {
        while !condition().await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(60), holds).await.expect("the condition holds in time");
}

/// The outcome of each command that the bus carries out.
pub(crate) fn success() -> Success {
    Success { version: Version(1), mark: None, position: Some(Position(1)), events: Vec::new(), reply: vec![0xc0] }
}

/// A bus whose aggregates remember keys, and do what a test says.
#[derive(Default)]
pub(crate) struct Bus {
    state: Mutex<BusState>,
}

#[derive(Default)]
struct BusState {
    /// All deliveries that took effect, in order.
    effects: Vec<Delivery>,
    /// All deliveries, repetitions included.
    deliveries: Vec<Delivery>,
    keys: HashSet<(AggregateRef, CommandKey)>,
    /// What an aggregate answers instead of accepting.
    answers: HashMap<String, Delivered>,
    delay: Duration,
    operations: HashMap<String, Operation>,
    client_commands: Vec<ClientCommand>,
}

impl BusState {
    /// Lets an operation decide.
    fn decide(&mut self, delivery: Delivery) -> Delivered {
        let target = delivery.to.aggregate();
        let operation = self.operations.entry(target.id.to_string()).or_default();
        let before = operation.clone();
        let mut context = Context::new(&target.id, &before, Version::ZERO, Timestamp::now(), &SystemIds);
        if let Err(rejection) = before.decide(decode(delivery.to.command()).unwrap(), &mut context) {
            let (code, detail) = (rejection.code().to_owned(), rejection.to_string());
            return Delivered::Refused(Refusal { code, detail });
        }
        let events = context.into_effects().unwrap().events;
        events.iter().for_each(|event| operation.evolve(event));
        if !events.is_empty() {
            self.keys.insert((target, delivery.key));
        }
        Delivered::Accepted
    }
}

impl Bus {
    /// The aggregate gives this answer, until another is set. `None`: it accepts.
    pub(crate) fn answer(&self, note: &str, answer: Option<Delivered>) {
        let mut state = self.state.lock().unwrap();
        match answer {
            Some(answer) => _ = state.answers.insert(note.to_owned(), answer),
            None => _ = state.answers.remove(note),
        }
    }

    pub(crate) fn refuse(&self, note: &str) {
        let refusal = Refusal { code: "no".to_owned(), detail: "no".to_owned() };
        self.answer(note, Some(Delivered::Refused(refusal)));
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    fn request(&self, operation: &str, requested: RequestedCommand) {
        let mut state = self.state.lock().unwrap();
        state.operations.entry(operation.to_owned()).or_default().evolve(&OperationEvent::Requested(requested));
    }

    pub(crate) fn status(&self, operation: &str) -> OperationStatus {
        self.state.lock().unwrap().operations[operation].status().clone()
    }

    /// All commands of clients that were to be carried out, repetitions included.
    pub(crate) fn client_commands(&self) -> Vec<ClientCommand> {
        self.state.lock().unwrap().client_commands.clone()
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.state.lock().unwrap().deliveries.clone()
    }

    /// What took effect at an aggregate, in order.
    pub(crate) fn effects(&self, note: &str) -> Vec<NoteCommand> {
        let state = self.state.lock().unwrap();
        let effects = state.effects.iter().filter(|delivery| delivery.to.aggregate() == note_ref(note));
        effects.map(|delivery| dormouse_kernel::decode(delivery.to.command()).unwrap()).collect()
    }

    /// What took effect at each aggregate, in order.
    pub(crate) fn all_effects(&self) -> HashMap<String, Vec<NoteCommand>> {
        let mut all: HashMap<String, Vec<NoteCommand>> = HashMap::new();
        for delivery in &self.state.lock().unwrap().effects {
            let command = dormouse_kernel::decode(delivery.to.command()).unwrap();
            all.entry(delivery.to.aggregate().id.to_string()).or_default().push(command);
        }
        all
    }

    pub(crate) fn effect_count(&self) -> usize {
        self.state.lock().unwrap().effects.len()
    }
}

#[async_trait]
impl CommandBus for Bus {
    async fn deliver(&self, delivery: Delivery) -> Delivered {
        let is_operation = delivery.to.aggregate_type().as_str() == Operation::TYPE;
        let delay = self.state.lock().unwrap().delay;
        if !delay.is_zero() && !is_operation {
            sleep(delay).await;
        }
        let mut state = self.state.lock().unwrap();
        let target = delivery.to.aggregate();
        state.deliveries.push(delivery.clone());
        if state.keys.contains(&(target.clone(), delivery.key.clone())) {
            return Delivered::Accepted;
        }
        if let Some(answer) = state.answers.get(target.id.as_str()) {
            return answer.clone();
        }
        if is_operation {
            return state.decide(delivery);
        }
        state.keys.insert((target, delivery.key.clone()));
        state.effects.push(delivery);
        Delivered::Accepted
    }

    async fn carry_out(&self, command: ClientCommand) -> CarriedOut {
        assert_ne!(command.to.aggregate().id.as_str(), "panic", "as the test wants");
        self.state.lock().unwrap().client_commands.push(command.clone());
        let ClientCommand { to, key, is_first, origin, .. } = command;
        match self.deliver(Delivery { to, key, is_first, origin, timer: None, refusal: None }).await {
            Delivered::Accepted | Delivered::Superseded | Delivered::TimerReplaced => {
                CarriedOut::Ended(Ending::Succeeded(success()))
            }
            Delivered::Refused(Refusal { code, detail }) => {
                let problem = "rejected".to_owned();
                CarriedOut::Ended(Ending::Refused(FinalRefusal { problem, detail, code: Some(code), version: None }))
            }
            Delivered::Failed(reason) => CarriedOut::Failed(reason),
            Delivered::NotNow(reason) => CarriedOut::NotNow(reason),
        }
    }

    async fn is_known(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<bool, String> {
        Ok(self.state.lock().unwrap().keys.contains(&(aggregate.clone(), key.clone())))
    }
}
