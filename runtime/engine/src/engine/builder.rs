//! Builds and starts an engine.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use dormouse_config::Config;
use dormouse_journal::Journal;
use dormouse_kernel::{Aggregate, Clock, IdSource, SystemClock, SystemIds};
use ractor::ActorRuntime;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Engine;
use crate::aggregates::Aggregates;
use crate::error::StartError;
use crate::lifecycle::Lifecycle;
use crate::node::Node;
use crate::passivation::Sweep;
use crate::registered_type::{AnyType, RegisteredType};
use crate::supervision::{self, Root, Startup};
use crate::{binary, clock_check, metric};

/// Collects the aggregate types of an engine, and starts it.
pub struct Builder {
    config: Config,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    threads: Option<Handle>,
    program: Option<u64>,
    types: Vec<(&'static str, MakeType)>,
}

type MakeType =
    Box<dyn FnOnce(&Arc<Node>) -> Result<(Arc<dyn AnyType>, Arc<dyn Any + Send + Sync>), StartError> + Send>;

impl Builder {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            threads: None,
            program: None,
            types: Vec::new(),
        }
    }

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

    /// Replaces the system's clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Replaces the system's source of ids, for tests.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = ids;
        self
    }

    /// Runs aggregates on the threads of this runtime, and not on those of the runtime that starts the engine. A
    /// decision keeps its thread until it returns. If decisions may loop, give aggregates threads that neither the
    /// journal nor the network uses. With n workers, n - 1 decisions may then be stuck at the same time.
    #[must_use]
    pub fn threads(mut self, runtime: Handle) -> Self {
        self.threads = Some(runtime);
        self
    }

    /// Sets the number that distinguishes this program from others that wrote snapshots. It replaces the fingerprint of
    /// the executable file, for programs whose code is not all in that file.
    #[must_use]
    pub fn program(mut self, program: u64) -> Self {
        self.program = Some(program);
        self
    }

    /// Starts the supervisor tree on `journal`, which the engine closes when it is drained.
    ///
    /// # Errors
    /// If a type is not valid, if two types have the same name, or if the supervisor tree does not start.
    pub async fn start(self, journal: Journal) -> Result<Engine, StartError> {
        metric::describe();
        let limits = supervision::limits(&self.config.supervision);
        let threads = self.threads.unwrap_or_else(Handle::current);
        let program = self.program.unwrap_or_else(binary::fingerprint);
        let newest_at_start = clock_check::newest_event(&journal, &*self.clock).await;
        let node = Arc::new(Node::new(journal, self.clock, self.ids, threads.clone(), self.config, program));
        let mut types: Vec<Arc<dyn AnyType>> = Vec::new();
        let mut handles = HashMap::new();
        for (name, make) in self.types {
            let (registered, handle) = make(&node)?;
            if handles.insert(name, handle).is_some() {
                return Err(StartError::DuplicateType(name));
            }
            types.push(registered);
        }
        node.set_types(types.iter().map(|registered| (registered.type_name(), registered.command_fields())));
        let types = Arc::new(types);
        let sweep = Sweep { node: Arc::clone(&node), types: Arc::clone(&types) };
        let startup = Startup { node: Arc::clone(&node), sweep, limits };
        // All actors descend from the root, and run on its threads.
        let (root, ended) = threads
            .spawn(ActorRuntime::spawn(None, Root, startup))
            .await
            .map_err(|error| StartError::Supervision(error.to_string()))?
            .map_err(|error| StartError::Supervision(error.to_string()))?;
        watch_root(Arc::clone(&node), ended);
        Ok(Engine { node, types, handles: Arc::new(handles), root, newest_at_start })
    }
}

/// The root has no supervisor. If it ends while the engine runs, no actor below it is supervised any more, and the
/// engine has failed. The task ends with the root.
fn watch_root(node: Arc<Node>, ended: JoinHandle<()>) {
    tokio::spawn(async move {
        // How it ended makes no difference.
        let _ended = ended.await;
        if node.is_running() {
            node.set_lifecycle(Lifecycle::Failed("the supervisor tree ended".to_owned()));
        }
    });
}
