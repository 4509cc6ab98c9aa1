//! Who may do what at which address. Nothing is handled before it is looked up here, and what is not found here is not
//! handled: an address without a line cannot be reached once callers are authenticated.

mod challenge;
mod table;

use std::sync::Arc;

use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
pub(super) use dormouse_auth::Access as Reach;
use dormouse_auth::{Accepted, Authenticator, Caller, Refused};

pub(super) use self::challenge::{denied, unauthenticated};
pub(crate) use self::table::PermissionNames;
pub(super) use self::table::{AccessTable, AccessTableBuilder, Required};
use super::problem::{self, Problem};
use crate::server::Peer;

/// The rules of all addresses, and what is needed to tell who sends a request.
pub(super) struct Access {
    /// `None`: callers are not authenticated, and everybody may do everything.
    authenticator: Option<Arc<Authenticator>>,
    table: AccessTable,
}

/// A caller that may do what it asks for.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    /// The caller.
    pub(super) caller: Arc<Caller>,
    /// Whether its credentials are new.
    pub(super) is_first: bool,
    /// What it may reach.
    reach: Reach,
    authenticator: Arc<Authenticator>,
}

/// A caller that was not let in.
pub(super) struct NotAdmitted {
    /// Why.
    pub(super) problem: Problem,
    /// The caller. `None`: it did not prove who it is.
    pub(super) accepted: Option<Accepted>,
}

impl From<Problem> for NotAdmitted {
    fn from(problem: Problem) -> Self {
        Self { problem, accepted: None }
    }
}

impl Admitted {
    /// The caller, if it may reach only its own.
    pub(super) fn only_own(&self) -> Option<&str> {
        (self.reach == Reach::Own).then_some(&*self.caller.subject)
    }

    /// Whether its token or key has not expired, and its key was not revoked. Requests that last long ask again.
    pub(super) fn still_counts(&self) -> bool {
        self.authenticator.still_counts(&self.caller)
    }
}

/// The caller with these credentials.
async fn accepted(
    authenticator: &Authenticator,
    credentials: &str,
    attempt: impl FnOnce() -> Result<(), Problem>,
) -> Result<Accepted, Problem> {
    if let Some(accepted) = authenticator.remembered(credentials) {
        return Ok(accepted);
    }
    attempt()?;
    authenticator.accept(credentials).await.map_err(|refused| challenge::refused(&refused))
}

impl Access {
    pub(super) fn new(authenticator: Option<Arc<Authenticator>>, table: AccessTable) -> Self {
        Self { authenticator, table }
    }

    /// Whether callers are authenticated.
    pub(super) fn is_on(&self) -> bool {
        self.authenticator.is_some()
    }

    /// What a request needs.
    pub(super) fn required(&self, method: &Method, path: &str) -> Required<'_> {
        self.table.required(method, path)
    }

    /// Tells who sends a request, and whether it may. `None`: this request needs no caller. `attempt` is called before
    /// credentials are verified that were not verified before, and may refuse that.
    pub(super) async fn admit(
        &self,
        request: &Parts,
        peer: &Peer,
        attempt: impl FnOnce() -> Result<(), Problem>,
    ) -> Result<Option<Admitted>, NotAdmitted> {
        let Some(authenticator) = &self.authenticator else { return Ok(None) };
        let required = self.table.required(&request.method, request.uri.path());
        if matches!(required, Required::Nothing) {
            return Ok(None);
        }
        let certified = match &peer.certificate {
            Some(names) if !request.headers.contains_key(AUTHORIZATION) => authenticator.certified(names),
            _ => None,
        };
        let accepted = match certified {
            Some(caller) => Accepted { caller, is_first: false },
            None => accepted(authenticator, challenge::credentials(&request.headers)?, attempt).await?,
        };
        match reach(&required, &accepted.caller) {
            Ok(reach) => {
                let Accepted { caller, is_first } = accepted;
                Ok(Some(Admitted { caller, is_first, reach, authenticator: Arc::clone(authenticator) }))
            }
            Err(problem) => Err(NotAdmitted { problem, accepted: Some(accepted) }),
        }
    }

    /// The name of the operation of operators at an address, as the description has it.
    pub(super) fn operation(&self, method: &Method, path: &str) -> Option<&str> {
        self.table.operation(method, path)
    }

    /// Refuses the command of a line of a bulk request if its caller may not send it. Returns what it may reach.
    pub(super) fn check_command(
        &self,
        admitted: Option<&Admitted>,
        aggregate_type: &str,
        command: &str,
    ) -> Result<Reach, Problem> {
        let Some(admitted) = admitted else {
            return if self.is_on() { Err(challenge::missing()) } else { Ok(Reach::All) };
        };
        if !admitted.still_counts() {
            return Err(challenge::refused(&Refused::Expired));
        }
        match self.table.command(aggregate_type, command) {
            Some(rule) => rule.decide(&admitted.caller).map_err(|denied| challenge::denied(&denied)),
            // What does not exist is refused when it is looked up.
            None => Ok(Reach::Own),
        }
    }
}

/// What a caller may reach of what is required.
fn reach(required: &Required<'_>, caller: &Caller) -> Result<Reach, Problem> {
    let denied = |denied| challenge::denied(&denied);
    match required {
        // What these need is decided for each line, or they reach nothing.
        Required::Nothing | Required::OfEachLine | Required::Nonexistent => Ok(Reach::Own),
        Required::Rule(rule) => rule.decide(caller).map_err(denied),
        Required::Whole(rule) => match rule.decide(caller).map_err(denied)? {
            Reach::All => Ok(Reach::All),
            Reach::Own => Err(denied(rule.denied())),
        },
        Required::Unknown => Err(super::no_route()),
    }
}
