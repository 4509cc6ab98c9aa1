//! The builder of an application: its aggregates and its projections.

use std::process::ExitCode;

use dormouse_config::Config;
use dormouse_engine::Engine;
use dormouse_kernel::Aggregate;
use dormouse_projections::Projection;
use tokio::runtime::Handle;

use crate::http::{self, ApiBuilder, Unroutable};
use crate::running::{Running, StartError};
use crate::{cli, running};

/// An application: a name, aggregates, and projections of their events.
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
/// Then `visitors serve` answers `POST /v1/visits/{id}/visit`, and `visitors --help` lists all commands.
#[derive(Clone, Debug)]
#[must_use = "an application does nothing until it is run or started"]
pub struct App {
    name: &'static str,
    aggregates: Vec<Registration>,
    projections: Vec<ReadRegistration>,
}

/// Adds an aggregate type to an engine and to an API. The functions contain the type itself.
#[derive(Clone, Copy, Debug)]
struct Registration {
    check: fn() -> Result<(), Unroutable>,
    engine: fn(dormouse_engine::Builder) -> dormouse_engine::Builder,
    api: fn(ApiBuilder, &Engine) -> ApiBuilder,
}

/// Adds a projection to a read side and to an API.
#[derive(Clone, Copy, Debug)]
struct ReadRegistration {
    projections: fn(dormouse_projections::Builder) -> dormouse_projections::Builder,
    api: fn(ApiBuilder) -> ApiBuilder,
}

impl App {
    /// An application of this name. Its command line and its API have this name too, so use the name of the executable.
    pub fn new(name: &'static str) -> Self {
        Self { name, aggregates: Vec::new(), projections: Vec::new() }
    }

    /// Adds an aggregate type.
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        self.aggregates.push(Registration {
            check: http::check::<A>,
            engine: dormouse_engine::Builder::aggregate::<A>,
            api: ApiBuilder::aggregate::<A>,
        });
        self
    }

    /// Adds a projection. Its view is kept up to date, and is served at `/v1/views/{name}`.
    pub fn projection<P: Projection>(mut self) -> Self {
        self.projections.push(ReadRegistration {
            projections: dormouse_projections::Builder::projection::<P>,
            api: ApiBuilder::projection::<P>,
        });
        self
    }

    /// The whole `main` of an application: does what the command line says. Without a command it serves.
    ///
    /// The exit code is 0 after a success, 2 if the command line or the configuration is wrong, and 1 after any other
    /// error. An error is printed in one line on standard error.
    #[must_use = "the exit code tells whether the command succeeded"]
    pub fn run(self) -> ExitCode {
        cli::run(&self)
    }

    /// Starts the application inside this process, and returns when it listens. It reads no command line, no file and
    /// no environment. Logs, panics and signals are left to the caller.
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
    /// The configuration contradicts itself, the journal or the views cannot be opened, the aggregates or projections
    /// do not fit together, or the address cannot be listened on.
    pub async fn start(&self, config: Config) -> Result<Running, StartError> {
        running::start(self, config, &Handle::current()).await
    }

    /// As [`start`](Self::start), with the code of aggregates and projections on the threads of the runtime `domain`.
    /// Code that does not return then holds up neither the network nor the journal.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(&self, config: Config, domain: &Handle) -> Result<Running, StartError> {
        running::start(self, config, domain).await
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Checks that URLs can name all of the aggregates and their commands.
    pub(crate) fn check(&self) -> Result<(), Unroutable> {
        self.aggregates.iter().try_for_each(|aggregate| (aggregate.check)())
    }

    pub(crate) fn add_to_engine(&self, builder: dormouse_engine::Builder) -> dormouse_engine::Builder {
        self.aggregates.iter().fold(builder, |builder, aggregate| (aggregate.engine)(builder))
    }

    /// Whether there is a projection, and so a view.
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
