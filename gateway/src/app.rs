//! The builder of an application: its aggregates, its projections, what reacts to them, and its routes.

mod module;
mod owner;

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use dormouse_auth::{InvalidPermission, Permissions, Section};
use dormouse_config::Config;
use dormouse_engine::Engine;
use dormouse_kernel::{Aggregate, NotAnEnum};
use dormouse_messaging::{Handler, Operation, Reactor};
use dormouse_projections::Projection;
use tokio::runtime::Handle;

use crate::admin::Permission;
use crate::command_bus::EngineBus;
use crate::http::{self, ApiBuilder, PermissionNames, Route, Unroutable};
use crate::running::{Running, StartError};
use crate::{cli, running};
pub(crate) use module::ModuleInfo;
use module::{Module, Owned};
pub(crate) use owner::OwnedState;

/// An application: a name, aggregates, projections of their events, what reacts to them, and routes of its own.
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
    modules: Vec<Module>,
    /// The module to which the next registrations belong.
    module: Option<&'static str>,
    aggregates: Vec<Owned<Registration>>,
    projections: Vec<Owned<ReadRegistration>>,
    listeners: Vec<Owned<Listener>>,
    routes: Vec<Owned<Route>>,
    permits: Vec<Permit>,
}

/// A permission that comes with the application.
#[derive(Clone, Copy, Debug)]
struct Permit {
    section: Section,
    name: &'static str,
    roles: &'static [&'static str],
}

type AddListener = dyn Fn(dormouse_messaging::Builder, &Config, &Engine) -> dormouse_messaging::Builder + Send + Sync;

/// Adds a reactor or a handler to the consumers.
#[derive(Clone)]
struct Listener {
    /// The name of its consumer: `handler/notify-tenant`.
    name: String,
    add: Arc<AddListener>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Listener").field(&self.name).finish()
    }
}

/// Adds an aggregate type to an engine and to an API. The functions contain the type itself.
#[derive(Clone, Copy, Debug)]
struct Registration {
    name: &'static str,
    state: fn() -> Result<Box<dyn OwnedState>, NotAnEnum>,
    check: fn() -> Result<(), Unroutable>,
    engine: fn(dormouse_engine::Builder) -> dormouse_engine::Builder,
    api: fn(ApiBuilder, &Engine) -> ApiBuilder,
    bus: fn(EngineBus, &Engine) -> EngineBus,
    names: fn(PermissionNames) -> PermissionNames,
}

/// Adds a projection to a read side and to an API.
#[derive(Clone, Copy, Debug)]
struct ReadRegistration {
    projections: fn(dormouse_projections::Builder) -> dormouse_projections::Builder,
    api: fn(ApiBuilder) -> ApiBuilder,
    names: fn(PermissionNames) -> PermissionNames,
}

impl App {
    /// An application of this name. Its command line and its API have this name too, so use the name of the executable.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            modules: Vec::new(),
            module: None,
            aggregates: Vec::new(),
            projections: Vec::new(),
            listeners: Vec::new(),
            routes: Vec::new(),
            permits: Vec::new(),
        }
    }

    /// Adds a module: a part of the application that `modules.enabled` can leave out. What `add` registers belongs to the
    /// module. Modules talk by messages only, so each must be complete: a projection or a handler of a module reads
    /// aggregates of that module.
    ///
    /// A module that is left out has no addresses, no views and no listeners, and a message to its aggregates is refused.
    /// What it stored before stays.
    pub fn module(mut self, name: &'static str, add: impl FnOnce(Self) -> Self) -> Self {
        if self.modules.iter().all(|module| module.name != name) {
            self.modules.push(Module { name, enabled: true });
        }
        let outer = self.module.replace(name);
        let mut app = add(self);
        app.module = outer;
        app
    }

    /// Adds an aggregate type.
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        let registration = Registration {
            name: A::TYPE,
            state: owner::before_events::<A>,
            check: http::check::<A>,
            engine: dormouse_engine::Builder::aggregate::<A>,
            api: ApiBuilder::aggregate::<A>,
            bus: EngineBus::aggregate::<A>,
            names: PermissionNames::aggregate::<A>,
        };
        self.aggregates.push(Owned { module: self.module, item: registration });
        self
    }

    /// Adds a projection. Its view is kept up to date, and is served at `/v1/views/{name}`.
    pub fn projection<P: Projection>(mut self) -> Self {
        let registration = ReadRegistration {
            projections: dormouse_projections::Builder::projection::<P>,
            api: ApiBuilder::projection::<P>,
            names: PermissionNames::projection::<P>,
        };
        self.projections.push(Owned { module: self.module, item: registration });
        self
    }

    /// Adds a reactor: it turns events into commands of other aggregates.
    pub fn reactor<R: Reactor>(mut self) -> Self {
        let add = Arc::new(|builder: dormouse_messaging::Builder, _: &Config, _: &Engine| builder.reactor::<R>());
        let listener = Listener { name: format!("reactor/{}", R::NAME), add };
        self.listeners.push(Owned { module: self.module, item: listener });
        self
    }

    /// Adds a handler: it acts on the world outside.
    pub fn handler<H: Handler + Clone>(self, handler: H) -> Self {
        self.handler_with(move |_| handler.clone())
    }

    /// Adds a handler that is made from the configuration when the application starts.
    pub fn handler_with<H: Handler>(self, make: impl Fn(&Config) -> H + Send + Sync + 'static) -> Self {
        self.handler_with_engine(move |config, _| make(config))
    }

    /// As [`handler_with`](Self::handler_with), for a handler that reads states. `make` is called on the runtime on which
    /// the application was started: a handler that uses the network runs that part there (`Handle::current` in `make`),
    /// because the threads of domain code have no network.
    pub fn handler_with_engine<H: Handler>(
        mut self,
        make: impl Fn(&Config, &Engine) -> H + Send + Sync + 'static,
    ) -> Self {
        let add = Arc::new(move |builder: dormouse_messaging::Builder, config: &Config, engine: &Engine| {
            builder.handler(make(config, engine))
        });
        let listener = Listener { name: format!("handler/{}", H::NAME), add };
        self.listeners.push(Owned { module: self.module, item: listener });
        self
    }

    /// Adds a route: an address of the application's own, which the description of the API shows.
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(Owned { module: self.module, item: route });
        self
    }

    /// Lets callers with one of these roles send a command, once callers are authenticated. `command` is the variant's
    /// name, alone or after the aggregate type and a dot. The role `*` is every authenticated caller.
    ///
    /// A line of the configuration (`permissions.commands`) replaces this one. What neither names, nobody may do.
    pub fn permit_command(self, command: &'static str, roles: &'static [&'static str]) -> Self {
        self.permit(Section::Commands, command, roles)
    }

    /// As [`permit_command`](Self::permit_command), for a query: `GetOrder`, `order.state`
    /// (`permissions.queries`).
    pub fn permit_query(self, query: &'static str, roles: &'static [&'static str]) -> Self {
        self.permit(Section::Queries, query, roles)
    }

    fn permit(mut self, section: Section, name: &'static str, roles: &'static [&'static str]) -> Self {
        self.permits.push(Permit { section, name, roles });
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

    /// Checks that URLs can name all of the aggregates and their commands, and that the routes have addresses of their
    /// own.
    pub(crate) fn check(&self) -> Result<(), Unroutable> {
        self.aggregates.iter().try_for_each(|aggregate| (aggregate.item.check)())?;
        http::check_routes(self.routes.iter().map(|route| &route.item))
    }

    /// The permissions of a configuration, over those that come with the application.
    ///
    /// # Errors
    /// A line names something that does not exist, not even in a module that is left out, or has `own:` where nothing
    /// belongs to a subject.
    pub(crate) fn permissions(&self, config: &Config) -> Result<Permissions, InvalidPermission> {
        let permits = self.permits.iter().map(|permit| (permit.section, permit.name, permit.roles));
        let permissions = Permissions::new(&config.permissions, permits);
        let names = self.permission_names();
        permissions.check(|section, name| names.has(section, name), |section, name| names.can_be_own(section, name))?;
        Ok(permissions)
    }

    /// Each permission of the application, with its roles.
    pub(crate) fn list_permissions(&self, permissions: &Permissions) -> Vec<Permission> {
        let names = self.permission_names();
        let of_section = |section: Section| {
            names.listed(section).map(move |name| Permission::of(&permissions.rule_of(section, name)))
        };
        Section::ALL.into_iter().flat_map(of_section).collect()
    }

    /// All names that a line of the permissions may have.
    pub(crate) fn permission_names(&self) -> PermissionNames {
        let names = PermissionNames::common();
        let names = self.aggregates.iter().fold(names, |names, aggregate| (aggregate.item.names)(names));
        let names = self.projections.iter().fold(names, |names, projection| (projection.item.names)(names));
        self.routes.iter().fold(names, |names, route| names.route(&route.item))
    }

    /// Adds the aggregates, and those of the runtime's own.
    pub(crate) fn add_to_engine(&self, builder: dormouse_engine::Builder) -> dormouse_engine::Builder {
        let builder = builder.aggregate::<Operation>();
        self.aggregates.iter().fold(builder, |builder, aggregate| (aggregate.item.engine)(builder))
    }

    /// The state of an aggregate of this type before its first event. `None`: there is no such type.
    pub(crate) fn state_before_events(&self, name: &str) -> Option<Result<Box<dyn OwnedState>, NotAnEnum>> {
        let found = self.aggregates.iter().find(|aggregate| aggregate.item.name == name)?;
        Some((found.item.state)())
    }

    /// Whether there is a projection, and so a view.
    pub(crate) fn has_projections(&self) -> bool {
        !self.projections.is_empty()
    }

    pub(crate) fn add_to_projections(&self, builder: dormouse_projections::Builder) -> dormouse_projections::Builder {
        self.projections.iter().fold(builder, |builder, projection| (projection.item.projections)(builder))
    }

    pub(crate) fn add_to_bus(&self, engine: &Engine) -> EngineBus {
        let bus = EngineBus::default().aggregate::<Operation>(engine);
        self.aggregates.iter().fold(bus, |bus, aggregate| (aggregate.item.bus)(bus, engine))
    }

    pub(crate) fn add_to_messaging(
        &self,
        builder: dormouse_messaging::Builder,
        config: &Config,
        engine: &Engine,
    ) -> dormouse_messaging::Builder {
        self.listeners.iter().fold(builder, |builder, listener| (listener.item.add)(builder, config, engine))
    }

    pub(crate) fn add_to_api(&self, builder: ApiBuilder, engine: &Engine) -> ApiBuilder {
        let builder = self.aggregates.iter().fold(builder, |builder, aggregate| (aggregate.item.api)(builder, engine));
        let builder = self.projections.iter().fold(builder, |builder, projection| (projection.item.api)(builder));
        self.routes.iter().fold(builder, |builder, route| builder.route(route.item.clone()))
    }
}
