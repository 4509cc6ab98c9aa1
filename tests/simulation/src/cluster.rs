//! The nodes of one life: the current owner of the journal, and its predecessors.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_config::Config;
use dormouse_engine::{Aggregates, Engine};
use dormouse_faults::{Faulty, Odds};
use dormouse_journal::{Journal, Options};
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType};

use crate::history::Name;
use crate::register::Register;
use crate::run::World;
use crate::store_faults::Traced;
use crate::time::Ids;
use crate::trace::Source;

/// The pause between attempts to start on a storage that does not answer.
const PAUSE: Duration = Duration::from_millis(3);

/// Engine and journal, with a `Faulty` of their own over the storage.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) store: Arc<Faulty>,
    pub(crate) journal: Journal,
    pub(crate) engine: Engine,
    pub(crate) registers: Aggregates<Register>,
    pub(crate) ids: Arc<Ids>,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: Mutex<Vec<Arc<Node>>>,
    /// All clients hear of a takeover at once.
    announces: bool,
}

impl Node {
    /// Starts a node on the storage, which takes the journal over from its owner.
    pub(crate) async fn start(world: &Arc<World>, seed: u64, odds: Odds, config: Config) -> Arc<Self> {
        let number = world.new_node();
        let store = Faulty::beside(Arc::clone(&world.storage));
        store.follow(Traced::new(Arc::clone(world), number, seed, odds));
        let options = Options { batch_events: config.journal.batch_events.get(), ..Options::default() };
        let journal = loop {
            match Journal::start(Arc::clone(&store) as _, options.clone()).await {
                Ok(journal) => break journal,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        let ids = Arc::new(Ids::of_node(number));
        let builder = Engine::builder(config).aggregate::<Register>().clock(Arc::new(world.time.clone()));
        let engine = builder.ids(Arc::clone(&ids) as _).start(journal.clone()).await.unwrap();
        let registers = engine.aggregates::<Register>().unwrap();
        world.note(Source::World, format!("node {number} is in charge"));
        Arc::new(Self { number, store, journal, engine, registers, ids })
    }
}

impl Cluster {
    pub(crate) fn of(first: Arc<Node>, announces: bool) -> Arc<Self> {
        Arc::new(Self { nodes: Mutex::new(vec![first]), announces })
    }

    /// The node for a client that was connected to `node`.
    pub(crate) fn after(&self, node: &Arc<Node>) -> Arc<Node> {
        if self.announces { self.current() } else { Arc::clone(node) }
    }

    pub(crate) fn succeed(&self, next: Arc<Node>) {
        self.nodes.lock().unwrap().push(next);
    }

    pub(crate) fn current(&self) -> Arc<Node> {
        Arc::clone(self.nodes.lock().unwrap().last().unwrap())
    }

    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().unwrap().clone()
    }
}

pub(crate) fn id(name: &str) -> AggregateId {
    AggregateId::new(name).unwrap()
}

pub(crate) fn reference(Name(aggregate_type, name): &Name) -> AggregateRef {
    AggregateRef::new(AggregateType::new(*aggregate_type).unwrap(), id(name))
}
