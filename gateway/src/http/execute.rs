//! `POST /v1/{type}/{id}/{command}`: the hot path.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use dormouse_engine::CommandError;
use dormouse_kernel::failpoint::{self, Step};
use tokio::time::Instant;

use super::address::{Parameters, aggregate_id, segments};
use super::conditions::{self, PREFER};
use super::envelope::Arrival;
use super::problem::Problem;
use super::{Api, body};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

pub(super) async fn execute(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let mut path = segments(&parts.uri).skip(1);
    let mut segment = || path.next().unwrap_or_default();
    let resource = api.resource(segment())?;
    let id = aggregate_id(segment())?;
    let command = resource.command(segment())?;
    // The layer around all routes has put it there.
    let arrival = parts.extensions.get::<Arrival>().expect("every request has arrived");
    let mut options = conditions::options(&parts.headers, arrival, api.command_timeout)?;
    options.dry_run = Parameters::of(&parts.uri, &["dry_run"])?.flag("dry_run")?;
    let deadline = options.deadline.unwrap_or(arrival.at + api.command_timeout);
    let body = body::read(&parts.headers, body, api.max_body, deadline).await?;
    if deadline <= Instant::now() {
        // There was no time, or its body took all of it. Nobody has seen it yet, so this much is known.
        return Err(CommandError::<std::convert::Infallible>::Expired.into());
    }
    let mut response = resource.execute(command, id, body, options).await?;
    failpoint::reach(Step::Responding);
    let wait = deadline - arrival.at;
    if parts.headers.contains_key(PREFER) && wait < api.command_timeout {
        let applied = HeaderValue::try_from(format!("wait={}", wait.as_secs()));
        response.headers_mut().insert(PREFERENCE_APPLIED, applied.expect("digits are visible ASCII"));
    }
    Ok(response)
}
