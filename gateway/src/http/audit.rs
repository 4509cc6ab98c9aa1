//! The audit of requests: changes by operators are recorded before they take effect and again with their outcome; logins
//! and refused callers are noted. The place is between the admission of a caller and the handler, so a new route below
//! `/admin` is audited without knowing of it.

mod asked;
mod details;

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::response::Response;
use dormouse_audit::{Action, AuditLog, Entry, Outcome};
use dormouse_auth::Caller;
use tokio::sync::Semaphore;
use tracing::warn;

pub(super) use self::asked::Asked;
pub(super) use self::details::Details;
use super::access::{Access, Admitted, NotAdmitted};
use super::address::segments;
use super::envelope::Arrival;
use super::problem::{self, Problem};
use crate::audit::record;

/// When a refused change may be tried again: an operator has to make room, or a disk to recover.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Reads of the log at a time. Each may read all of it, and only operators read it.
const READS: usize = 1;

/// Records who did what.
pub(super) struct Audit {
    /// `None`: nothing is recorded.
    log: Option<AuditLog>,
    reads: Semaphore,
}

/// A request that is being handled, while its outcome is not known.
pub(super) struct Audited {
    log: AuditLog,
    asked: Asked,
    /// What an operator changes. `None`: the request is of another kind, and only a refusal is noted.
    change: Option<Change>,
}

/// A change by an operator that was recorded before it took effect.
struct Change {
    /// The name of the operation in the description of the API. `None`: it has no such operation, and the router refuses it.
    operation: Option<String>,
    details: Details,
}

/// The outcome of a change by an operator.
pub(super) struct ChangeOutcome {
    log: AuditLog,
    entry: Entry,
}

impl Audit {
    pub(super) fn new(log: Option<AuditLog>) -> Self {
        Self { log, reads: Semaphore::new(READS) }
    }

    pub(super) fn log(&self) -> Option<&AuditLog> {
        self.log.as_ref()
    }

    /// The directory of the log, and the right to read it until the permit is dropped.
    pub(super) async fn reading(&self) -> Option<(PathBuf, tokio::sync::SemaphorePermit<'_>)> {
        let log = self.log.as_ref()?;
        // The semaphore is never closed.
        let permit = self.reads.acquire().await.ok()?;
        Some((log.directory().to_owned(), permit))
    }

    /// Notes whether a caller was let in: a login, if its credentials are new, or a refusal.
    pub(super) fn note_admission(
        &self,
        request: &Parts,
        arrival: &Arrival,
        admission: &Result<Option<Admitted>, NotAdmitted>,
    ) {
        let Some(log) = &self.log else { return };
        let (accepted, problem) = match admission {
            Ok(None) => return,
            Ok(Some(admitted)) => (Some((&admitted.caller, admitted.is_first)), None),
            Err(NotAdmitted { problem, accepted }) => {
                (accepted.as_ref().map(|accepted| (&accepted.caller, accepted.is_first)), Some(problem))
            }
        };
        let caller = accepted.map(|(caller, _)| &**caller);
        if accepted.is_some_and(|(_, is_first)| is_first) {
            log.note(Asked::of(request, arrival).entry(Action::Login, caller, Outcome::Done));
        }
        if let Some(problem) = problem {
            note_refusal(log, &Asked::of(request, arrival), caller, problem);
        }
    }

    /// Records a change by an operator, before it takes effect. For other requests nothing is recorded yet.
    ///
    /// # Errors
    /// The log cannot be written: the change must not be made.
    pub(super) async fn begin(
        &self,
        request: &mut Parts,
        arrival: &Arrival,
        access: &Access,
    ) -> Result<Option<Box<Audited>>, Problem> {
        let Some(log) = &self.log else { return Ok(None) };
        let asked = Asked::of(request, arrival);
        let is_change = !request.method.is_safe() && segments(&request.uri).next() == Some("admin");
        if !is_change {
            return Ok(Some(Box::new(Audited { log: log.clone(), asked, change: None })));
        }
        let operation = access.operation(&request.method, request.uri.path()).map(str::to_owned);
        let entry = asked.entry_with_query(Action::AdminAction, Outcome::Intended);
        let entry = Entry { operation: operation.clone(), ..entry };
        let details = Details::default();
        request.extensions.insert(details.clone());
        // From here on an outcome follows, also if the client goes away while the intent is being recorded.
        let mut audited = Box::new(Audited { log: log.clone(), asked, change: Some(Change { operation, details }) });
        // Boxed both, because every connection keeps room for the largest future of a request.
        if let Err(error) = Box::pin(record(log, entry)).await {
            audited.change = None;
            let detail = "the audit log cannot be written: nothing was changed";
            return Err(Problem::new(&problem::AUDIT_UNAVAILABLE, detail).retry_after(RETRY_AFTER).because(error));
        }
        Ok(Some(audited))
    }

    /// Notes a command that was refused, because the aggregate is not the caller's own.
    pub(super) fn note_command(&self, request: &Parts, arrival: &Arrival, outcome: &Result<Response, Problem>) {
        if let (Some(log), Err(problem)) = (&self.log, outcome) {
            let caller = arrival.admitted.as_ref().map(|admitted| &*admitted.caller);
            note_refusal(log, &Asked::of(request, arrival), caller, problem);
        }
    }

    /// Notes a line of a bulk request that was refused.
    pub(super) fn note_line(&self, asked: &Asked, line: &impl Display, problem: &Problem) {
        let Some(log) = self.log.as_ref().filter(|_| is_refusal(problem)) else { return };
        let entry = asked.entry(Action::CallerDenied, asked.caller(), Outcome::Refused).with("line", line);
        log.note(with_reason(entry, problem));
    }

    /// Notes that the server has made a token of its own.
    pub(super) fn note_token(&self, asked: &Asked, subject: &str) {
        let Some(log) = &self.log else { return };
        let mut entry = asked.entry(Action::TokenIssued, None, Outcome::Done);
        entry.who.subject = Some(subject.to_owned());
        log.note(entry);
    }
}

impl Audited {
    /// Notes a refusal. Returns the outcome of a change, which is to be recorded before it is answered.
    pub(super) fn end(mut self: Box<Self>, outcome: &Result<Response, Problem>) -> Option<ChangeOutcome> {
        let (status, problem) = match outcome {
            Ok(response) => (response.status(), response.extensions().get::<Problem>()),
            Err(problem) => (problem.problem_type().status, Some(problem)),
        };
        if let Some(problem) = problem {
            note_refusal(&self.log, &self.asked, self.asked.caller(), problem);
        }
        let change = self.change.take()?;
        let status = problem.map_or(status, |problem| problem.problem_type().status);
        let result = if status.is_client_error() || status.is_server_error() { Outcome::Failed } else { Outcome::Done };
        let mut entry = self.entry_of(change, result);
        entry.status = Some(status.as_u16());
        if let Some(problem) = problem {
            entry = entry.with("problem", problem.problem_type().slug);
        }
        let location = outcome.as_ref().ok().and_then(|response| response.headers().get(LOCATION)?.to_str().ok());
        if let Some(location) = location {
            entry = entry.with("location", location);
        }
        Some(ChangeOutcome { log: self.log.clone(), entry })
    }

    fn entry_of(&self, Change { operation, details }: Change, outcome: Outcome) -> Entry {
        let entry = self.asked.entry_with_query(Action::AdminAction, outcome);
        Entry { operation, details: details.take(), ..entry }
    }
}

impl ChangeOutcome {
    pub(super) async fn record(self) {
        let (request_id, status) = (self.entry.request_id.clone(), self.entry.status);
        // What was done cannot be taken back. Boxed, because every connection keeps room for the largest future.
        if let Err(error) = Box::pin(record(&self.log, self.entry)).await {
            warn!(error, request_id, status, "the outcome of a change is missing in the audit log");
        }
    }
}

impl Drop for Audited {
    /// The client went away, and the handler with it: whether the change was made is not known here.
    fn drop(&mut self) {
        if let Some(change) = self.change.take() {
            self.log.note(self.entry_of(change, Outcome::Unknown));
        }
    }
}

fn note_refusal(log: &AuditLog, asked: &Asked, caller: Option<&Caller>, problem: &Problem) {
    if !is_refusal(problem) {
        return;
    }
    let action = if caller.is_some() { Action::CallerDenied } else { Action::CallerRefused };
    log.note(with_reason(asked.entry(action, caller, Outcome::Refused), problem));
}

/// Whether a caller was refused, or may not do what it asked for.
fn is_refusal(problem: &Problem) -> bool {
    let found = problem.problem_type();
    let is_malformed = found == &problem::INVALID_HEADER
        && problem.member("header").is_some_and(|header| header.as_str() == Some("Authorization"));
    found.status == StatusCode::UNAUTHORIZED
        || [&problem::FORBIDDEN, &problem::SUBJECT_REFUSED, &problem::ADDRESS_REFUSED].contains(&found)
        || is_malformed
}

/// Says why. No such text has anything of a token.
fn with_reason(mut entry: Entry, problem: &Problem) -> Entry {
    entry.status = Some(problem.problem_type().status.as_u16());
    let entry = match problem.member("permission").and_then(|permission| permission.as_str()) {
        Some(permission) => entry.with("permission", permission),
        None => entry,
    };
    entry.with("reason", problem.detail())
}
