//! A request to a route.

use dormouse_engine::{CommandOptions, Engine, Outcome};
use dormouse_kernel::{Aggregate, AggregateId};

use super::RouteError;

/// A request to a route, with its decoded body.
#[derive(Debug)]
pub struct RouteRequest<B = ()> {
    parts: RouteParts,
    body: B,
}

/// A request without its body.
#[derive(Debug)]
pub(super) struct RouteParts {
    /// The named parts of the address.
    pub(super) path: Vec<(&'static str, String)>,
    pub(super) engine: Engine,
    /// The options of the commands that the route sends.
    pub(super) options: CommandOptions,
}

impl<B> RouteRequest<B> {
    pub(super) const fn new(parts: RouteParts, body: B) -> Self {
        Self { parts, body }
    }

    /// The body.
    pub const fn body(&self) -> &B {
        &self.body
    }

    /// The part of the address with this name, decoded. It is not empty. A name that the address does not have is an
    /// empty text.
    #[must_use]
    pub fn path(&self, name: &str) -> &str {
        let part = self.parts.path.iter().find(|(known, _)| *known == name);
        part.map_or("", |(_, value)| value)
    }

    /// On whose behalf the request is sent, if the server knows.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.parts.options.subject.as_deref()
    }

    /// On whose behalf the request is sent.
    ///
    /// # Errors
    /// 401, if the server does not know.
    pub fn require_caller(&self) -> Result<&str, RouteError> {
        self.caller().ok_or_else(RouteError::unauthenticated)
    }

    /// The `Idempotency-Key`. A request with the same key and the same body is the same request.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.parts.options.key.as_ref().map(|key| key.as_str())
    }

    /// The engine, for reads of states.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    /// Sends a command to the aggregate of type `A` with this id, and waits until its events are durable. The command has
    /// the key, the caller, the deadline and the trace of the request. So a repeated request gets the first outcome, if it
    /// sends the same command to the same aggregate.
    ///
    /// # Errors
    /// The problem that a client would get that sends the command itself. An error of the type [`RouteError::internal`]
    /// if the application does not have the aggregate type.
    pub async fn send<A: Aggregate>(
        &self,
        id: impl AsRef<str>,
        command: A::Command,
    ) -> Result<Outcome<A::Reply>, RouteError> {
        let id = AggregateId::new(id).map_err(|error| RouteError::invalid_id(error.to_string()))?;
        let Some(aggregates) = self.parts.engine.aggregates::<A>() else {
            return Err(RouteError::internal(format!("the application has no aggregate type {:?}", A::TYPE)));
        };
        Ok(aggregates.execute(id, command, self.parts.options.clone()).await?)
    }
}
