//! Starts and stops the projections of a node.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use dormouse_journal::{Journal, PageLimit};
use dormouse_kernel::{Clock, SystemClock};
use ractor::{ActorRef, ActorRuntime};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cache::Cache;
use crate::capacity::Capacity;
use crate::context::ProjectionContext;
use crate::definition::{Definition, DefinitionError};
use crate::metric;
use crate::options::Options;
use crate::progress::{Progress, State};
use crate::projection::Projection;
use crate::projector::Projector;
use crate::reader::Reader;
use crate::store::{ReplicaStatus, ViewStore};
use crate::supervision::{Supervisor, SupervisorArguments, SupervisorMessage};
use crate::view::View;
use crate::worker::AnyProjector;

/// Running projections. Cheap to clone. They stop when the last clone is dropped.
#[derive(Clone)]
pub struct Projections {
    views: Arc<HashMap<&'static str, Arc<dyn Any + Send + Sync>>>,
    readers: Arc<BTreeMap<&'static str, Reader>>,
    /// In the order of the supervisor's numbers.
    projectors: Arc<Vec<Arc<dyn AnyProjector>>>,
    journal: Journal,
    store: Arc<dyn ViewStore>,
    supervisor: ActorRef<SupervisorMessage>,
    cache: Cache,
    capacity: Arc<Capacity>,
    stop: Arc<watch::Sender<bool>>,
    /// Its sender is dropped when all workers and the supervisor have ended.
    ended: watch::Receiver<()>,
}

/// Collects the projections to run.
pub struct Builder {
    journal: Journal,
    store: Arc<dyn ViewStore>,
    options: Options,
    cache: Cache,
    capacity: Arc<Capacity>,
    threads: Option<Handle>,
    projectors: Vec<Result<AddedProjection, DefinitionError>>,
}

struct AddedProjection {
    name: &'static str,
    projector: Arc<dyn AnyProjector>,
    view: Arc<dyn Any + Send + Sync>,
    reader: Reader,
}

/// Why the projections cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The definition of a projection is wrong.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The supervisor did not start.
    #[error("cannot start the workers: {0}")]
    Supervision(String),
}

impl Builder {
    /// Adds a projection.
    #[must_use]
    pub fn projection<P: Projection>(mut self) -> Self {
        let added = Definition::with_personal::<P>().and_then(|(definition, personal)| {
            let (store, journal) = (Arc::clone(&self.store), self.journal.clone());
            let context = Arc::new(ProjectionContext::new(
                definition,
                personal,
                store,
                journal,
                self.options.clone(),
                &self.cache,
                Arc::clone(&self.capacity),
            ));
            let reader = context.reader();
            let projector = Arc::new(Projector::<P>::new(context)?);
            Ok(AddedProjection { name: P::NAME, projector, view: Arc::new(View::<P>::new(reader.clone())), reader })
        });
        self.projectors.push(added);
        self
    }

    /// Runs the projections on the threads of this runtime instead of the current one: a projection keeps its thread
    /// until it returns.
    #[must_use]
    pub fn threads(mut self, runtime: Handle) -> Self {
        self.threads = Some(runtime);
        self
    }

    /// Starts the supervisor, which starts the planner and the workers of each projection. The journal and the view
    /// store stay open when the projections are stopped.
    ///
    /// # Errors
    /// If the definition of a projection is wrong, or two have the same name. Errors of the store are reported later,
    /// in [`Progress`].
    pub async fn start(self) -> Result<Projections, StartError> {
        let (mut views, mut readers, mut projectors) = (HashMap::new(), BTreeMap::new(), Vec::new());
        for added in self.projectors {
            let AddedProjection { name, projector, view, reader } = added?;
            readers.insert(name, reader);
            if views.insert(name, view).is_some() {
                return Err(DefinitionError::Duplicate { projection: name }.into());
            }
            projectors.push(projector);
        }
        metric::describe();
        let stop = watch::Sender::new(false);
        let arguments = SupervisorArguments {
            projectors: projectors.clone(),
            limits: self.options.restart_limits(),
            stop: stop.subscribe(),
        };
        // All workers are spawned by the supervisor, and so run on the same threads.
        let threads = self.threads.unwrap_or_else(Handle::current);
        let (supervisor, supervisor_ended) = threads
            .spawn(ActorRuntime::spawn(None, Supervisor, arguments))
            .await
            .map_err(|error| StartError::Supervision(error.to_string()))?
            .map_err(|error| StartError::Supervision(error.to_string()))?;
        let (ending, ended) = watch::channel(());
        watch_supervisor(supervisor_ended, projectors.clone(), ending);
        Ok(Projections {
            views: Arc::new(views),
            readers: Arc::new(readers),
            projectors: Arc::new(projectors),
            journal: self.journal,
            store: self.store,
            supervisor,
            cache: self.cache,
            capacity: self.capacity,
            stop: Arc::new(stop),
            ended,
        })
    }
}

impl Projections {
    /// Projections of the events of this journal, with documents in this store.
    #[must_use]
    pub fn builder(journal: Journal, store: Arc<dyn ViewStore>, options: Options) -> Builder {
        let cache = Cache::new(options.cache.clone());
        let capacity = Arc::new(Capacity::new(options.workers, options.parallelism));
        Builder { journal, store, options, cache, capacity, threads: None, projectors: Vec::new() }
    }

    /// The view of a projection, if it runs here.
    #[must_use]
    pub fn view<P: Projection>(&self) -> Option<View<P>> {
        self.views.get(P::NAME)?.downcast_ref::<View<P>>().cloned()
    }

    /// A reader of the view of that name, if its projection runs here.
    #[must_use]
    pub fn reader(&self, name: &str) -> Option<&Reader> {
        self.readers.get(name)
    }

    /// A reader of each view, ordered by name.
    pub fn readers(&self) -> impl Iterator<Item = &Reader> {
        self.readers.values()
    }

    /// How much the projections may do at the same time.
    #[must_use]
    pub fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// The cache of answers to readers.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// How far each projection is, and in which state.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        self.projectors.iter().map(|projector| projector.context().progress.borrow().clone()).collect()
    }

    /// Updates the metrics that are sampled. It reads the journal once for each projection that is behind.
    pub async fn sample_metrics(&self) {
        for progress in self.progress() {
            let head = self.journal.head().borrow().0;
            let lag = if head > progress.position.0 { self.age_of_next(&progress).await } else { Duration::ZERO };
            metric::sample(&progress, head, lag);
        }
    }

    /// The age of the first event that a view does not have; zero if the journal does not respond.
    async fn age_of_next(&self, progress: &Progress) -> Duration {
        let next = self
            .journal
            .read_log(progress.position, PageLimit::ONE)
            .await
            .ok()
            .and_then(|events| events.into_iter().next());
        let age = |recorded_at| SystemClock.now().duration_since(recorded_at).try_into().unwrap_or_default();
        next.map_or(Duration::ZERO, |event| age(event.event.recorded_at))
    }

    /// The state of the replicas that views are read from.
    #[must_use]
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        self.store.replicas()
    }

    pub(crate) fn store(&self) -> &Arc<dyn ViewStore> {
        &self.store
    }

    pub(crate) fn supervisor(&self) -> &ActorRef<SupervisorMessage> {
        &self.supervisor
    }

    /// The projection of that name, with its number at the supervisor.
    pub(crate) fn find(&self, name: &str) -> Option<(usize, &Arc<ProjectionContext>)> {
        let contexts = self.projectors.iter().map(|projector| projector.context());
        contexts.enumerate().find(|(_, context)| context.definition.name() == name)
    }

    pub(crate) fn projector(&self, projection: usize) -> Arc<dyn AnyProjector> {
        Arc::clone(&self.projectors[projection])
    }

    /// Stops all projections. Each worker finishes its batch. Returns when all have ended.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut ended = self.ended.clone();
        // No value is ever sent: it returns when the sender is dropped.
        while ended.changed().await.is_ok() {}
    }
}

/// Sets the state of the projections when the supervisor has ended, because all workers end with it.
fn watch_supervisor(
    supervisor_ended: JoinHandle<()>,
    projectors: Vec<Arc<dyn AnyProjector>>,
    ending: watch::Sender<()>,
) {
    tokio::spawn(async move {
        // The result does not matter: any end of the supervisor has the same consequence.
        let _ended = supervisor_ended.await;
        for projector in projectors {
            projector.context().set_ended(State::Stopped("the supervisor of the workers ended".to_owned()));
        }
        drop(ending);
    });
}

impl std::fmt::Debug for Projections {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Projections").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Builder").field("projections", &self.projectors.len()).finish_non_exhaustive()
    }
}
