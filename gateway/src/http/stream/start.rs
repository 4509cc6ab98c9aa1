//! Where a stream begins.

use axum::http::{HeaderMap, HeaderName};

use crate::http::address::Parameters;
use crate::http::command_headers::{invalid, single};
use crate::http::problem::{self, Problem};
use crate::http::token::Token;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Where a client wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Start {
    /// With the events after this id.
    After(Token),
    /// With new events only.
    Latest,
}

impl Start {
    /// The start in the address: `?after=17`, `?after=latest`, or nothing, which means the first event.
    pub(in crate::http) fn of_address(parameters: &Parameters<'_>) -> Result<Self, Problem> {
        match parameters.get("after") {
            Some("latest") => Ok(Self::Latest),
            _ => Token::after(parameters).map(Self::After),
        }
    }

    /// The header `Last-Event-ID`, if it is sent. A client that reconnects sends it together with its first address.
    pub(in crate::http) fn of_headers(headers: &HeaderMap) -> Result<Option<Token>, Problem> {
        // A client that has seen no id yet sends an empty one (HTML, 9.2.4).
        let id = single(headers, &LAST_EVENT_ID, "Last-Event-ID")?.filter(|id| !id.is_empty());
        let Some(id) = id else { return Ok(None) };
        let unknown = || invalid("Last-Event-ID", format!("{id:?} is not the id of a message of this server"));
        Token::parse(id).map(Some).ok_or_else(unknown)
    }
}

/// The problem of a client that has seen more than the journal has. Waiting does not help, so it has no time to retry.
pub(in crate::http) fn beyond_end(what: &str) -> Problem {
    let detail = format!(
        "{what}: this is not the journal that the client has followed, or it was restored to an earlier state. \
         Rebuild what was derived from it"
    );
    Problem::new(&problem::BEYOND_HEAD, detail)
}
