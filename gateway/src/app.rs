//! The builder of an application: which aggregates and projections it has, and then it runs.

use std::process::ExitCode;

use dormouse_config::Config;
use dormouse_engine::Engine;
use dormouse_kernel::Aggregate;
use dormouse_projections::Projection;
use tokio::runtime::Handle;

use crate::http::{self, ApiBuilder, Unroutable};
use crate::running::{Running, StartError};
use crate::{cli, running};

/// An application: a name, its aggregates, and what is made of their events for reading.
///
/// ```no_run
/// # use dormouse::{Aggregate, Context, DomainEvent};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Visits(u64);
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// enum VisitsCommand {
///     Visit,
/// }
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// enum VisitsEvent {
///     Visited,
/// }
///
/// impl DomainEvent for VisitsEvent {}
///
/// impl Aggregate for Visits {
///     const TYPE: &'static str = "visits";
///     type Command = VisitsCommand;
///     type Event = VisitsEvent;
///     type Reply = u64;
///     type Rejection = std::convert::Infallible;
///
///     fn decide(&self, _: VisitsCommand, context: &mut Context<Self>) -> Result<u64, Self::Rejection> {
///         context.emit(VisitsEvent::Visited);
///         Ok(context.state().0)
///     }
///
///     fn evolve(&mut self, _: &VisitsEvent) {
///         self.0 += 1;
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     dormouse::App::new("visitors").aggregate::<Visits>().run()
/// }
/// ```
///
/// Then `visitors serve` answers `POST /v1/visits/{id}/visit`, and `visitors --help` tells the rest.
#[derive(Clone, Debug)]
#[must_use = "an application does nothing until it is run or started"]
pub struct App {
    name: &'static str,
    aggregates: Vec<Registration>,
    projections: Vec<ReadRegistration>,
}

/// How an aggregate type gets into an engine and its API; the type itself is in the functions.
#[derive(Clone, Copy, Debug)]
struct Registration {
    check: fn() -> Result<(), Unroutable>,
    engine: fn(dormouse_engine::Builder) -> dormouse_engine::Builder,
    api: fn(ApiBuilder, &Engine) -> ApiBuilder,
}

/// How a projection gets into a read side and its API.
#[derive(Clone, Copy, Debug)]
struct ReadRegistration {
    projections: fn(dormouse_projections::Builder) -> dormouse_projections::Builder,
    api: fn(ApiBuilder) -> ApiBuilder,
}

impl App {
    /// An application of this name, which is what its command line calls itself and its API is titled. Make it the name
    /// of the executable.
    pub fn new(name: &'static str) -> Self {
        Self { name, aggregates: Vec::new(), projections: Vec::new() }
    }

    /// Gives it an aggregate type.
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        self.aggregates.push(Registration {
            check: http::check::<A>,
            engine: dormouse_engine::Builder::aggregate::<A>,
            api: ApiBuilder::aggregate::<A>,
        });
        self
    }

    /// Gives it a projection: its view is kept up to date, and served at `/v1/views/{name}`.
    pub fn projection<P: Projection>(mut self) -> Self {
        self.projections.push(ReadRegistration {
            projections: dormouse_projections::Builder::projection::<P>,
            api: ApiBuilder::projection::<P>,
        });
        self
    }

    /// The whole of an application's `main`: does what the command line says, which is to serve unless it says otherwise.
    ///
    /// The exit code is 0 if that went well, 2 if the command line or the configuration is wrong, 1 otherwise; whatever
    /// went wrong is said in one line on standard error.
    #[must_use = "the exit code tells whether it went well"]
    pub fn run(self) -> ExitCode {
        cli::run(&self)
    }

    /// Starts it inside this process, and returns when it listens. No command line is read, no file and no environment,
    /// and nothing is done about logs, panics and signals: those are the caller's.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let mut config = dormouse::Config::embedded();
    /// config.journal.url = dormouse::JournalUrl::Memory;
    /// config.gateway.listen = "127.0.0.1:0".parse()?;
    ///
    /// let running = dormouse::App::new("empty").start(config).await?;
    /// assert_ne!(running.address().port(), 0);
    /// assert!(running.stop().await.complete);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the configuration contradicts itself, the journal or the views cannot be opened, the aggregates or projections do
    /// not fit together, or the address cannot be listened on.
    pub async fn start(&self, config: Config) -> Result<Running, StartError> {
        running::start(self, config, &Handle::current()).await
    }

    /// The same, with the code of aggregates and projections on the threads of another runtime, so that code that does not
    /// return holds up neither the network nor the journal.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(&self, config: Config, domain: &Handle) -> Result<Running, StartError> {
        running::start(self, config, domain).await
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether all its aggregates can be reached by URL.
    pub(crate) fn check(&self) -> Result<(), Unroutable> {
        self.aggregates.iter().try_for_each(|aggregate| (aggregate.check)())
    }

    pub(crate) fn add_to_engine(&self, builder: dormouse_engine::Builder) -> dormouse_engine::Builder {
        self.aggregates.iter().fold(builder, |builder, aggregate| (aggregate.engine)(builder))
    }

    /// Whether there is anything to keep views for.
    pub(crate) fn has_projections(&self) -> bool {
        !self.projections.is_empty()
    }

    pub(crate) fn add_to_projections(&self, builder: dormouse_projections::Builder) -> dormouse_projections::Builder {
        self.projections.iter().fold(builder, |builder, projection| (projection.projections)(builder))
    }

    pub(crate) fn add_to_api(&self, builder: ApiBuilder, engine: &Engine) -> ApiBuilder {
        let builder = self.aggregates.iter().fold(builder, |builder, aggregate| (aggregate.api)(builder, engine));
        self.projections.iter().fold(builder, |builder, projection| (projection.api)(builder))
    }
}
