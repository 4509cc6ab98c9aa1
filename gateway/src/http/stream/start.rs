//! Where a stream begins.

use axum::http::{HeaderMap, HeaderName};

use crate::http::address::Parameters;
use crate::http::conditions::{invalid, single};
use crate::http::problem::{self, Problem};
use crate::http::token::Token;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Where a client wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Start {
    /// With what follows this id.
    After(Token),
    /// With what comes from now on.
    Latest,
}

impl Start {
    /// What the address says: `?after=17`, `?after=latest`, or nothing, which is the beginning.
    pub(in crate::http) fn of_address(parameters: &Parameters<'_>) -> Result<Self, Problem> {
        match parameters.get("after") {
            Some("latest") => Ok(Self::Latest),
            _ => Token::after(parameters).map(Self::After),
        }
    }

    /// `Last-Event-ID`, if there is one: a client that comes back sends it with the address that it came with first.
    pub(in crate::http) fn of_headers(headers: &HeaderMap) -> Result<Option<Token>, Problem> {
        // Empty is what a client sends that has seen no id yet (HTML, 9.2.4).
        let id = single(headers, &LAST_EVENT_ID, "Last-Event-ID")?.filter(|id| !id.is_empty());
        let Some(id) = id else { return Ok(None) };
        let unknown = || invalid("Last-Event-ID", format!("{id:?} is no id of a message from here"));
        Token::parse(id).map(Some).ok_or_else(unknown)
    }
}

/// The client has seen more than there is. It will not come to pass by waiting, so this is no reason to come again.
pub(in crate::http) fn beyond(what: &str) -> Problem {
    let detail = format!(
        "{what}: this is not the journal that the client has followed, or it was put back to an earlier state; \
         what was derived from it must be built anew"
    );
    Problem::new(&problem::BEYOND_HEAD, detail)
}
