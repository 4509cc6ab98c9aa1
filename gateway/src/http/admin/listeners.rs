//! `/admin/listeners`: the state of the listeners, and the switches of operators.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use dormouse_messaging::store::{JobCounts, Switch};
use dormouse_messaging::{BreakerState, ConsumerInfo, ConsumerState};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{answer, request_id_of};
use crate::admin::{Breaker, JobNumbers, Listener, Listeners};
use crate::http::Api;
use crate::http::address::{Parameters, decoded, segments};
use crate::http::commands::unknown;
use crate::http::problem::{self, Problem};

/// How long a response waits until a listener has noticed its switch. After that the response shows it as it is.
const NOTICED: Duration = Duration::from_secs(2);

/// The time between two looks at a listener that was switched.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What an operator does with a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Pause,
    Resume,
    Enable,
    Disable,
}

/// `GET /admin/listeners`
pub(super) async fn all(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let head = *api.engine.journal().head().borrow();
    // The list is returned even if the jobs cannot be counted: an operator may look here because the queues do not
    // answer.
    let listeners = match api.messaging.consumers().await {
        Ok(consumers) => consumers.iter().map(|info| document_of(info, Some(info.jobs))).collect(),
        Err(error) => {
            warn!(%error, "cannot count the jobs of the listeners");
            api.messaging.states().iter().map(|info| document_of(info, None)).collect()
        }
    };
    Ok(answer(&Listeners { head: head.0, listeners }))
}

/// `POST /admin/listeners/{name}/pause`
pub(super) async fn pause(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    api.switch_listener(request, Action::Pause).await
}

/// `POST /admin/listeners/{name}/resume`
pub(super) async fn resume(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    api.switch_listener(request, Action::Resume).await
}

/// `POST /admin/listeners/{name}/enable`
pub(super) async fn enable(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    api.switch_listener(request, Action::Enable).await
}

/// `POST /admin/listeners/{name}/disable`
pub(super) async fn disable(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    api.switch_listener(request, Action::Disable).await
}

impl Action {
    const fn change(self, switch: &mut Switch) {
        match self {
            Self::Pause => switch.paused = true,
            Self::Resume => switch.paused = false,
            Self::Enable => switch.disabled = false,
            Self::Disable => switch.disabled = true,
        }
    }

    /// The setting that keeps a listener off although the operator has switched it on.
    const fn overruled_by(self, effective: Switch) -> Option<&'static str> {
        match self {
            Self::Resume if effective.paused => Some("listeners.paused"),
            Self::Enable if effective.disabled => Some("listeners.disabled"),
            _ => None,
        }
    }
}

impl Api {
    async fn switch_listener(&self, request: Request, action: Action) -> Result<Response, Problem> {
        Parameters::of(request.uri(), &[])?;
        let name = self.listener(request.uri())?;
        let effective = self.messaging.switch(&name, |switch| action.change(switch)).await?;
        info!(listener = name, ?action, request_id = request_id_of(&request), "switched a listener");
        if let Some(key) = action.overruled_by(effective) {
            let detail = format!("no operator keeps {name:?} off any more, but {key} of the configuration does");
            return Err(Problem::new(&problem::SWITCHED_BY_CONFIG, detail));
        }
        // The switch is stored in any case, so a timeout is no error.
        let _noticed = timeout(NOTICED, self.has_noticed(&name, effective)).await.is_ok();
        let consumers = self.messaging.consumers().await?;
        let found = consumers.iter().find(|info| info.name.as_str() == name);
        found.map(|info| answer(&document_of(info, Some(info.jobs)))).ok_or_else(|| self.unknown_listener(&name))
    }

    /// Waits until a listener shows its switch, if it runs.
    async fn has_noticed(&self, name: &str, effective: Switch) {
        let is_shown = |info: &ConsumerInfo| match info.state {
            ConsumerState::Running => !effective.paused && !effective.disabled,
            ConsumerState::Paused => effective.paused && !effective.disabled,
            ConsumerState::Disabled => effective.disabled,
            ConsumerState::Starting => false,
            ConsumerState::Retrying(_) | ConsumerState::Failed(_) | ConsumerState::Stopped => true,
        };
        while self.messaging.states().iter().any(|info| info.name.as_str() == name && !is_shown(info)) {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The name of the listener in the path.
    pub(super) fn listener(&self, uri: &Uri) -> Result<String, Problem> {
        let segment = segments(uri).nth(2).unwrap_or_default();
        let name = decoded(segment).unwrap_or_default().into_owned();
        if self.listener_names().contains(&name) { Ok(name) } else { Err(self.unknown_listener(&name)) }
    }

    /// The names of all listeners, in the order in which they are listed.
    pub(super) fn listener_names(&self) -> Vec<String> {
        self.messaging.states().into_iter().map(|info| info.name.to_string()).collect()
    }

    pub(super) fn unknown_listener(&self, name: &str) -> Problem {
        let known = self.listener_names();
        let what = format!("there is no listener {name:?}");
        unknown(&problem::UNKNOWN_LISTENER, &what, name, known.iter().map(String::as_str))
    }
}

fn document_of(info: &ConsumerInfo, jobs: Option<JobCounts>) -> Listener {
    let reason = match &info.state {
        ConsumerState::Retrying(reason) | ConsumerState::Failed(reason) => Some(reason.clone()),
        _ => None,
    };
    Listener {
        name: info.name.to_string(),
        kind: info.kind.name().to_owned(),
        queue: info.queue.to_owned(),
        sources: info.sources.iter().map(ToString::to_string).collect(),
        state: info.state.name().to_owned(),
        reason,
        position: info.position.0,
        lag: info.lag,
        ready: info.ready,
        running: info.running,
        breaker: info.breaker.map(breaker),
        jobs: jobs.map(|JobCounts { waiting, blocked, dead }| JobNumbers { waiting, blocked, dead }),
    }
}

fn breaker(state: BreakerState) -> Breaker {
    let (name, open_for) = match state {
        BreakerState::Closed => ("closed", None),
        BreakerState::Open(open_for) => ("open", Some(open_for.as_secs_f64())),
        BreakerState::HalfOpen => ("half-open", None),
    };
    Breaker { state: name.to_owned(), open_seconds: open_for }
}
