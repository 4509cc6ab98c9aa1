//! Collects the consumers of a process, and starts them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, RwLock};

use dormouse_journal::Journal;
use dormouse_kernel::{Aggregate, Backoff, Clock, Epoch, Position, SystemClock};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::info::WEBHOOKS;
use super::running::{Described, Running, Switches};
use super::{ConsumerKind, Inner, Messaging, SwitchedOff, scale};
use crate::bus::CommandBus;
use crate::consumer::{Begin, Consumer, Order, Settings, Shared, Stop, Work};
use crate::consumer_name::ConsumerName;
use crate::handler::{Handler, HandlerWork};
use crate::history;
use crate::messages::{MESSAGES, MessagesWork};
use crate::metric;
use crate::operations::{OPERATIONS, OPERATIONS_QUEUE, Operation, OperationsWork};
use crate::options::{Options, QueueOptions};
use crate::publisher::{Publish, PublisherWork};
use crate::reactor::{Reactor, ReactorWork};
use crate::start_error::StartError;
use crate::store::{QueueStore, Switch};
use crate::timers::{RetryWork, TIMERS, TimerTask};
use crate::worker_pool::WorkerPool;

/// Collects the consumers of a process, and starts them.
pub struct Builder {
    journal: Journal,
    store: Arc<dyn QueueStore>,
    bus: Arc<dyn CommandBus>,
    options: Options,
    clock: Arc<dyn Clock>,
    threads: Option<Handle>,
    /// The aggregate types that the application has.
    types: HashSet<String>,
    consumers: Vec<Result<Added, StartError>>,
}

/// A consumer that was added.
pub(super) struct Added {
    name: String,
    pub(super) kind: ConsumerKind,
    queue: &'static str,
    pub(super) sources: Vec<&'static str>,
    work: Arc<dyn Work>,
    order: Order,
    begin: Begin,
    /// Other tries than those of the queue.
    tries: Option<u32>,
    /// Other pauses than those of the queue.
    backoff: Option<Backoff>,
}

impl Messaging {
    /// Messaging for the aggregates of these types, which `bus` reaches.
    #[must_use]
    pub fn builder(
        journal: Journal,
        store: Arc<dyn QueueStore>,
        bus: Arc<dyn CommandBus>,
        types: impl IntoIterator<Item = String>,
        options: Options,
    ) -> Builder {
        Builder {
            journal,
            store,
            bus,
            options,
            clock: Arc::new(SystemClock),
            threads: None,
            types: types.into_iter().collect(),
            consumers: Vec::new(),
        }
    }
}

/// The queue of what aggregates send, which is not one for handlers.
const MESSAGES_QUEUE: &str = "messages";

impl Builder {
    /// Adds a reactor.
    #[must_use]
    pub fn reactor<R: Reactor>(mut self) -> Self {
        let added = ReactorWork::new::<R>(Arc::clone(&self.bus)).map(|work| Added {
            name: format!("reactor/{}", R::NAME),
            kind: ConsumerKind::Reactor,
            queue: MESSAGES_QUEUE,
            sources: work.aggregate_types(),
            work: Arc::new(work),
            order: Order::Ordered,
            begin: R::BEGIN,
            tries: None,
            backoff: None,
        });
        self.consumers.push(added);
        self
    }

    /// Adds a handler.
    #[must_use]
    pub fn handler<H: Handler>(mut self, handler: H) -> Self {
        let added = if self.has_queue(H::QUEUE) {
            HandlerWork::new(handler, Arc::clone(&self.bus)).map(|work| Added {
                name: format!("handler/{}", H::NAME),
                kind: ConsumerKind::Handler,
                queue: H::QUEUE,
                sources: work.aggregate_types(),
                work: Arc::new(work),
                order: H::ORDER,
                begin: H::BEGIN,
                tries: H::retries().map(|retries| retries.tries),
                backoff: H::retries().map(|retries| Backoff { first: retries.pause, longest: retries.pause }),
            })
        } else {
            Err(self.no_queue(format!("the handler {:?}", H::NAME), H::QUEUE))
        };
        self.consumers.push(added);
        self
    }

    /// Adds a publisher under a name such as `publisher/search`.
    #[must_use]
    pub fn publisher<P: Publish>(
        mut self,
        name: &str,
        queue: &'static str,
        order: Order,
        begin: Begin,
        publisher: P,
    ) -> Self {
        let added = if self.has_queue(queue) {
            Ok(Added::publisher(name, queue, order, begin, publisher, Arc::clone(&self.bus)))
        } else {
            Err(self.no_queue(format!("the publisher {name:?}"), queue))
        };
        self.consumers.push(added);
        self
    }

    fn has_queue(&self, queue: &str) -> bool {
        self.options.queues.iter().any(|(name, _)| *name == queue)
    }

    fn no_queue(&self, listener: String, queue: &'static str) -> StartError {
        no_queue(listener, queue, self.options.queues.iter().map(|(name, _)| *name))
    }

    /// Replaces the system's clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Runs domain code on the threads of this runtime, and not on those of the runtime that starts messaging.
    #[must_use]
    pub fn threads(mut self, runtime: Handle) -> Self {
        self.threads = Some(runtime);
        self
    }

    /// Takes over the store for the owner of the journal with this epoch, and starts all consumers.
    ///
    /// # Errors
    /// If a consumer is not valid, if the store belongs to another history than the journal, or if one of them does not
    /// answer.
    pub async fn start(self, epoch: Epoch) -> Result<Messaging, StartError> {
        metric::describe();
        let Self { journal, store, bus, options, clock, threads, types, consumers } = self;
        let mut added = vec![Added {
            name: MESSAGES.to_owned(),
            kind: ConsumerKind::Messages,
            queue: MESSAGES_QUEUE,
            sources: Vec::new(),
            work: Arc::new(MessagesWork { bus: Arc::clone(&bus) }),
            order: Order::Ordered,
            begin: Begin::Beginning,
            tries: None,
            backoff: None,
        }];
        added.push(Added {
            name: OPERATIONS.to_owned(),
            kind: ConsumerKind::Operations,
            queue: OPERATIONS_QUEUE,
            sources: vec![Operation::TYPE],
            work: Arc::new(OperationsWork::new(Arc::clone(&bus))?),
            // Each sequence has one job.
            order: Order::Independent,
            begin: Begin::Beginning,
            tries: None,
            backoff: None,
        });
        for consumer in consumers {
            let consumer = consumer?;
            if let Some(aggregate) = consumer.sources.iter().copied().find(|source| !types.contains(*source)) {
                return Err(StartError::UnknownSource { consumer: consumer.name, aggregate });
            }
            if added.iter().any(|other| other.name == consumer.name) {
                return Err(StartError::Duplicate(consumer.name));
            }
            added.push(consumer);
        }
        // The receivers of webhooks are added later.
        let is_known = |name: &String| {
            name == TIMERS || name.starts_with(WEBHOOKS) || added.iter().any(|consumer| consumer.name == *name)
        };
        if let Some(unknown) = options.paused.iter().chain(&options.disabled).find(|name| !is_known(name)) {
            return Err(StartError::UnknownListener(unknown.clone()));
        }
        store.acquire(epoch).await?;
        let names = added.iter().map(|consumer| ConsumerName::new(&consumer.name)).collect::<Result<Vec<_>, _>>()?;
        history::check(&journal, &*store, names.iter()).await?;
        let shared =
            Shared { journal, store, clock, shards: options.shards, threads: threads.unwrap_or_else(Handle::current) };
        let mut start = Start::new(shared, bus, options).await?;
        for consumer in added {
            start.consumer(consumer)?;
        }
        start.timers()?;
        Ok(start.finish())
    }
}

impl Added {
    pub(super) fn publisher<P: Publish>(
        name: &str,
        queue: &'static str,
        order: Order,
        begin: Begin,
        publisher: P,
        bus: Arc<dyn CommandBus>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            kind: ConsumerKind::of_publisher(name),
            queue,
            sources: Vec::new(),
            tries: publisher.tries(),
            backoff: None,
            work: Arc::new(PublisherWork { name: name.into(), publisher, bus }),
            order,
            begin,
        }
    }

    /// The consumer, with the rules of its queue where it has none of its own.
    pub(super) fn into_consumer(self, pool: &Arc<WorkerPool>, options: &QueueOptions) -> Result<Consumer, StartError> {
        let Self { name, kind, work, order, begin, tries, backoff, .. } = self;
        let mut settings = settings(pool, options, order, begin);
        settings.has_breaker = kind.has_breaker();
        settings.tries = tries.unwrap_or(settings.tries).max(1);
        settings.backoff = backoff.unwrap_or(settings.backoff);
        Ok(Consumer { name: ConsumerName::new(&name)?, work, settings })
    }
}

/// Starts the consumers one after another.
struct Start {
    shared: Shared,
    bus: Arc<dyn CommandBus>,
    pools: Vec<(Arc<WorkerPool>, QueueOptions)>,
    configured: SwitchedOff,
    switches: HashMap<ConsumerName, Switch>,
    running: Vec<Arc<Running>>,
    tasks: JoinSet<()>,
    stop: watch::Sender<Option<Stop>>,
}

impl Start {
    async fn new(shared: Shared, bus: Arc<dyn CommandBus>, options: Options) -> Result<Self, StartError> {
        let pool = |name, queue: QueueOptions| (Arc::new(WorkerPool::new(name, queue.pool)), queue);
        // The first is the queue of messages.
        let mut pools = vec![pool(MESSAGES_QUEUE, options.messages)];
        pools.extend(options.queues.iter().map(|(name, queue)| pool(name, *queue)));
        let configured = SwitchedOff { paused: options.paused, disabled: options.disabled };
        let switches = shared.store.switches().await?;
        let stop = watch::Sender::new(None);
        Ok(Self { shared, bus, pools, configured, switches, running: Vec::new(), tasks: JoinSet::new(), stop })
    }

    fn consumer(&mut self, added: Added) -> Result<(), StartError> {
        let (kind, queue, sources) = (added.kind, added.queue, added.sources.clone());
        let (pool, options) = self.pool(queue);
        let consumer = added.into_consumer(pool, options)?;
        self.run(consumer, kind, queue, sources, None);
        Ok(())
    }

    fn timers(&mut self) -> Result<(), StartError> {
        let name = ConsumerName::new(TIMERS)?;
        let (pool, options) = self.pool(MESSAGES_QUEUE);
        let mut settings = settings(pool, options, Order::Independent, Begin::Beginning);
        settings.reads_log = false;
        let bus = Arc::clone(&self.bus);
        let work = Arc::new(RetryWork { bus: Arc::clone(&bus) });
        let consumer = Consumer { name: name.clone(), work, settings: settings.clone() };
        let (position, read_position) = watch::channel(Position::ZERO);
        let running = self.run(consumer, ConsumerKind::Timers, MESSAGES_QUEUE, Vec::new(), Some(read_position));
        let (retries, switch) = (running.requests.clone(), running.switch());
        let (shared, stop) = (self.shared.clone(), self.stop.subscribe());
        let task = TimerTask { name, shared, bus, settings, retries, switch, stop, position };
        self.tasks.spawn(task.run());
        Ok(())
    }

    fn pool(&self, queue: &str) -> &(Arc<WorkerPool>, QueueOptions) {
        // The names of queues were checked when the consumers were added.
        self.pools.iter().find(|(pool, _)| pool.name() == queue).unwrap_or(&self.pools[0])
    }

    fn run(
        &mut self,
        consumer: Consumer,
        kind: ConsumerKind,
        queue: &'static str,
        sources: Vec<&'static str>,
        position: Option<watch::Receiver<Position>>,
    ) -> Arc<Running> {
        let configured = self.configured.switch(consumer.name.as_str());
        let operators = self.switches.get(&consumer.name).copied().unwrap_or_default();
        let switches = Switches { configured, operators };
        let described = Described { kind, queue, sources, switches, position };
        let running = Arc::new(Running::start(consumer, described, &self.shared, &mut self.tasks));
        self.running.push(Arc::clone(&running));
        running
    }

    fn finish(mut self) -> Messaging {
        let pools: Vec<_> = self.pools.iter().map(|(pool, _)| Arc::clone(pool)).collect();
        self.tasks.spawn(scale(pools, self.stop.subscribe()));
        let Self { shared, bus, pools, configured, running, tasks, stop, .. } = self;
        let (consumers, configured, tasks) = (RwLock::new(running), Mutex::new(configured), Mutex::new(tasks));
        Messaging { inner: Arc::new(Inner { shared, bus, consumers, pools, configured, stop, tasks }) }
    }
}

/// The rules of a queue's consumers.
fn settings(pool: &Arc<WorkerPool>, options: &QueueOptions, order: Order, begin: Begin) -> Settings {
    let QueueOptions { tries, backoff, timeout, .. } = *options;
    Settings { order, begin, pool: Arc::clone(pool), tries, backoff, timeout, has_breaker: false, reads_log: true }
}

pub(super) fn no_queue(listener: String, queue: &'static str, known: impl Iterator<Item = &'static str>) -> StartError {
    StartError::NoQueue { listener, queue, known: known.collect::<Vec<_>>().join(", ") }
}
