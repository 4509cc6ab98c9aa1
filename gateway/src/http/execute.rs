//! `POST /v1/{type}/{id}/{command}`: the hot path.

use axum::body::{Bytes, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;
use dormouse_engine::CommandError;
use dormouse_kernel::failpoint::{self, Step};
use tokio::time::Instant;

use super::address::{Parameters, aggregate_id, segments};
use super::command_headers::{self, PREFER};
use super::commands::RESERVED_SEGMENTS;
use super::envelope::Arrival;
use super::problem::Problem;
use super::{Api, body, content};

pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The address of a command: segments of a path, still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommandAddress<'u> {
    aggregate_type: &'u str,
    id: &'u str,
    command: &'u str,
}

impl<'u> CommandAddress<'u> {
    /// The address of the command that is posted, if the request has this form.
    pub(super) fn of(request: &'u Parts) -> Option<Self> {
        if request.method != Method::POST {
            return None;
        }
        let mut path = segments(&request.uri);
        let (root, aggregate_type, id, command) = (path.next()?, path.next()?, path.next()?, path.next()?);
        let is_named = !command.is_empty() && !RESERVED_SEGMENTS.contains(&command);
        (root == "v1" && is_named && path.next().is_none()).then_some(Self { aggregate_type, id, command })
    }
}

/// Carries out a command. It ends by the command's deadline, which is earlier than the request timeout.
pub(super) async fn execute<B>(
    api: &Api,
    arrival: &Arrival,
    address: CommandAddress<'_>,
    request: &Parts,
    body: B,
) -> Result<Response, Problem>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let resource = api.resource(address.aggregate_type)?;
    let id = aggregate_id(address.id)?;
    let command = resource.command(address.command)?;
    let mut options = command_headers::options(&request.headers, arrival, api.command_timeout)?;
    options.dry_run = Parameters::of(&request.uri, &["dry_run"])?.flag("dry_run")?;
    let asynchronous = api.operations.as_ref().filter(|operations| operations.are_wanted(&request.headers, &options));
    if asynchronous.is_some() {
        // The time for which the client waits does not bound that of the command.
        options.deadline = None;
    }
    let deadline = options.deadline.unwrap_or(arrival.at + api.command_timeout);
    let body = body::read(&request.headers, body, api.max_body, deadline).await?;
    if deadline <= Instant::now() {
        // There was no time, or reading the body took all of it. The engine has not seen the command, so nothing
        // happened.
        return Err(CommandError::<std::convert::Infallible>::Expired.into());
    }
    if let Some(operations) = asynchronous {
        let to = resource.encode(command, id, &body)?;
        if options.key.is_some() {
            options.content = content::fingerprint(&body);
        }
        drop(body);
        options.deadline = Some(deadline);
        // Boxed, because every connection keeps room for the largest future of a request.
        return Box::pin(async {
            let (to, content) = resource.seal(to, options.content, options.subject.as_deref()).await?;
            options.content = content;
            let accepted = operations.request(to, options).await?;
            failpoint::reach(Step::Responding);
            operations.answer(api, arrival, &request.headers, &accepted).await
        })
        .await;
    }
    let mut response = resource.execute(command, id, body, options).await?.into_response();
    failpoint::reach(Step::Responding);
    let wait = deadline - arrival.at;
    if request.headers.contains_key(PREFER) && wait < api.command_timeout {
        let applied = HeaderValue::try_from(format!("wait={}", wait.as_secs()));
        response.headers_mut().insert(PREFERENCE_APPLIED, applied.expect("digits are visible ASCII"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn address(method: &str, uri: &str) -> Option<(String, String, String)> {
        let (parts, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        let address = CommandAddress::of(&parts)?;
        Some((address.aggregate_type.to_owned(), address.id.to_owned(), address.command.to_owned()))
    }

    #[test]
    fn a_command_is_posted_to_a_type_an_id_and_a_name() {
        let found = |one: &str, two: &str, three: &str| Some((one.to_owned(), two.to_owned(), three.to_owned()));
        assert_eq!(address("POST", "/v1/cart/c-1/clear"), found("cart", "c-1", "clear"));
        assert_eq!(address("POST", "/v1/cart/c%2F1/clear?dry_run=true"), found("cart", "c%2F1", "clear"));
        assert_eq!(address("POST", "http://host/v1/cart/c-1/clear"), found("cart", "c-1", "clear"));
        assert_eq!(address("POST", "/v1/cart//clear"), found("cart", "", "clear"));
    }

    #[test]
    fn other_requests_are_left_to_the_router() {
        for (method, uri) in [
            ("GET", "/v1/cart/c-1/clear"),
            ("POST", "/v1/cart/c-1/events"),
            ("POST", "/v1/cart/c-1"),
            ("POST", "/v1/cart/c-1/"),
            ("POST", "/v1/cart/c-1/clear/"),
            ("POST", "/v2/cart/c-1/clear"),
            ("POST", "/admin/aggregates/cart/c-1/release"),
            ("POST", "*"),
        ] {
            assert_eq!(address(method, uri), None, "{method} {uri}");
        }
    }
}
