//! The engine: built from aggregate types, run on a journal, drained in good order.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_config::Config;
use dormouse_journal::Journal;
use dormouse_kernel::{Aggregate, AggregateId, Clock, IdSource, SystemClock, SystemIds, Timestamp};
use metrics::gauge;
use ractor::{ActorRef, ActorRuntime};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::aggregates::Aggregates;
use crate::binary;
use crate::clock_check;
use crate::error::StartError;
use crate::metric;
use crate::passivation::Sweep;
use crate::registered_type::{AnyType, Node, RegisteredType, Residency};
use crate::supervision::{self, Root, RootMessage, Startup};

/// What closing the journal may take beyond the time for draining: one slow commit, and the snapshots of the last.
const CLOSING: Duration = Duration::from_secs(2);

/// What an engine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// It takes commands.
    Running,
    /// It still takes commands, but will stop soon: nobody new should be sent here.
    Leaving,
    /// It finishes what it has taken, and takes no more.
    Draining,
    /// It has stopped in good order.
    Stopped,
    /// It has given up: the process should end, with an error.
    Failed(String),
}

/// A running engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    node: Arc<Node>,
    types: Arc<Vec<Arc<dyn AnyType>>>,
    handles: Arc<HashMap<&'static str, Arc<dyn Any + Send + Sync>>>,
    root: ActorRef<RootMessage>,
    /// When the newest event was recorded that the journal had at the start.
    newest_at_start: Option<Timestamp>,
}

type MakeType =
    Box<dyn FnOnce(&Arc<Node>) -> Result<(Arc<dyn AnyType>, Arc<dyn Any + Send + Sync>), StartError> + Send>;

/// Collects the aggregate types of an engine.
pub struct Builder {
    config: Config,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    threads: Option<Handle>,
    program: Option<u64>,
    types: Vec<(&'static str, MakeType)>,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Everything that had been taken was answered, and every aggregate sleeps.
    pub complete: bool,
    /// Aggregates still live when time ran out.
    pub still_live: usize,
}

impl Builder {
    /// Lets the engine run aggregates of this type.
    #[must_use]
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        let make: MakeType = Box::new(|node| {
            let registered = Arc::new(RegisteredType::<A>::new(Arc::clone(node))?);
            Ok((
                Arc::clone(&registered) as Arc<dyn AnyType>,
                Arc::new(Aggregates::new(registered)) as Arc<dyn Any + Send + Sync>,
            ))
        });
        self.types.push((A::TYPE, make));
        self
    }

    /// Tells time by `clock`, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes ids from `ids`, for tests.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = ids;
        self
    }

    /// Runs aggregates on the threads of this runtime, and not on those of whoever starts the engine. A decision keeps its
    /// thread until it returns: where it may loop, give aggregates threads of their own, which neither the journal nor the
    /// network uses. As many decisions as it has workers, less one, may then be stuck at once.
    #[must_use]
    pub fn threads(mut self, runtime: Handle) -> Self {
        self.threads = Some(runtime);
        self
    }

    /// What tells this program from others that wrote snapshots, in place of a fingerprint of the executable: for programs
    /// whose code is not all in that file.
    #[must_use]
    pub fn program(mut self, program: u64) -> Self {
        self.program = Some(program);
        self
    }

    /// Starts the supervisor tree on `journal`, which the engine closes when it is drained.
    ///
    /// # Errors
    /// If the types do not fit together.
    pub async fn start(self, journal: Journal) -> Result<Engine, StartError> {
        metric::describe();
        let limits = supervision::limits(&self.config.supervision);
        let threads = self.threads.unwrap_or_else(Handle::current);
        let program = self.program.unwrap_or_else(binary::fingerprint);
        let newest_at_start = clock_check::newest_event(&journal, &*self.clock).await;
        let node = Arc::new(Node::new(journal, self.clock, self.ids, threads.clone(), self.config, program));
        let mut types = Vec::new();
        let mut handles = HashMap::new();
        for (name, make) in self.types {
            let (registered, handle) = make(&node)?;
            if handles.insert(name, handle).is_some() {
                return Err(StartError::DuplicateType(name));
            }
            types.push(registered);
        }
        let types = Arc::new(types);
        let sweep = Sweep { node: Arc::clone(&node), types: Arc::clone(&types) };
        let startup = Startup { node: Arc::clone(&node), sweep, limits };
        // All actors descend from the root, and run where it does.
        let (root, ended) = threads
            .spawn(ActorRuntime::spawn(None, Root, startup))
            .await
            .map_err(|error| StartError::Supervision(error.to_string()))?
            .map_err(|error| StartError::Supervision(error.to_string()))?;
        watch_root(Arc::clone(&node), ended);
        Ok(Engine { node, types, handles: Arc::new(handles), root, newest_at_start })
    }
}

impl Engine {
    /// An engine to be, with the system's clock and ids.
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        Builder {
            config,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            threads: None,
            program: None,
            types: Vec::new(),
        }
    }

    /// The aggregates of one type, if the engine runs it.
    #[must_use]
    pub fn aggregates<A: Aggregate>(&self) -> Option<Aggregates<A>> {
        self.handles.get(A::TYPE)?.downcast_ref::<Aggregates<A>>().cloned()
    }

    /// The journal it runs on.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.node.journal
    }

    /// What it is doing, and every change of that.
    #[must_use]
    pub fn lifecycle(&self) -> watch::Receiver<Lifecycle> {
        self.node.lifecycle()
    }

    /// What it is made of, for the tests beside the code.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> (Arc<Node>, Arc<Vec<Arc<dyn AnyType>>>) {
        (Arc::clone(&self.node), Arc::clone(&self.types))
    }

    /// How many aggregates of each type are where.
    #[must_use]
    pub fn residency(&self) -> Vec<Residency> {
        self.types.iter().map(|registered| registered.residency()).collect()
    }

    /// How many aggregates are dormant, and the memory they take in bytes.
    #[must_use]
    pub fn dormant(&self) -> (usize, usize) {
        (self.node.dormant.count(), self.node.dormant.bytes())
    }

    /// How far the clock lies behind the newest event that the journal had at the start, as long as that cannot be: the clock
    /// is wrong, or was wrong when that event was recorded.
    #[must_use]
    pub fn clock_behind(&self) -> Option<Duration> {
        clock_check::ahead_of(&*self.node.clock, self.newest_at_start?)
    }

    /// How many requests are in mailboxes or wait for a commit.
    #[must_use]
    pub fn requests_under_way(&self) -> usize {
        self.node.permits.in_use()
    }

    /// Lets a quarantined aggregate be woken again. Says whether it was one.
    pub fn release(&self, aggregate_type: &str, id: &AggregateId) -> bool {
        let registered = self.types.iter().find(|registered| registered.type_name() == aggregate_type);
        registered.is_some_and(|registered| registered.release(id))
    }

    /// Brings the metrics that are read rather than counted up to date.
    pub fn sample_metrics(&self) {
        self.types.iter().for_each(|registered| registered.sample_metrics());
        let max = self.node.config.admission.per_node.get();
        gauge!(metric::PERMITS).set(self.node.permits.in_use() as f64);
        gauge!(metric::PERMITS_MAX).set(max as f64);
        gauge!(metric::DORMANT).set(self.node.dormant.count() as f64);
        gauge!(metric::DORMANT_BYTES).set(self.node.dormant.bytes() as f64);
        self.node.journal.sample_metrics();
    }

    /// Says that it will stop soon, while it serves as before; [`drain`](Self::drain) is what stops it. Changes nothing
    /// unless it is [`Running`](Lifecycle::Running).
    pub fn leave(&self) {
        self.node.leave();
    }

    /// Takes no more commands, finishes what was taken, puts every aggregate to sleep (with a snapshot where it is
    /// worth one), and closes the journal. After `timeout` it closes the journal regardless, and waits a little, but
    /// not for ever, for it to close: what is acknowledged is durable in any case.
    pub async fn drain(&self, timeout: Duration) -> DrainReport {
        let deadline = Instant::now() + timeout;
        if self.node.is_running() {
            self.node.set_lifecycle(Lifecycle::Draining);
        }
        let sweep = Sweep { node: Arc::clone(&self.node), types: Arc::clone(&self.types) };
        let finished = timeout_at(deadline, async {
            self.node.permits.all_free().await;
            while self.node.live() > 0 {
                sweep.drain();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let finished = finished.await.is_ok();
        let still_live = self.node.live();
        // A storage that does not answer must not keep the process from ending.
        let closed = timeout_at(deadline.max(Instant::now() + CLOSING), self.node.journal.close()).await.is_ok();
        if !matches!(*self.node.lifecycle().borrow(), Lifecycle::Failed(_)) {
            self.node.set_lifecycle(Lifecycle::Stopped);
        }
        self.root.stop(None);
        DrainReport { complete: finished && closed, still_live }
    }
}

/// Nobody supervises the root: should it end on its own, nothing below it is supervised any more.
fn watch_root(node: Arc<Node>, ended: JoinHandle<()>) {
    tokio::spawn(async move {
        // It makes no difference how it ended.
        let _ended = ended.await;
        if node.is_running() {
            node.set_lifecycle(Lifecycle::Failed("the supervisor tree ended".to_owned()));
        }
    });
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("residency", &self.residency()).finish_non_exhaustive()
    }
}
