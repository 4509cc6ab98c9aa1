//! `Dormouse-Min-Position`: a client reads what it has written.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use dormouse_kernel::Position;
use dormouse_projections::WaitError;
use tokio::time::{Instant, timeout};

use super::ServedView;
use crate::http::Api;
use crate::http::command_headers::{invalid, single, wait};
use crate::http::envelope::Arrival;
use crate::http::problem::{self, Problem};
use crate::http::token::Token;

/// The header's name, as it is usually written.
pub(super) const DORMOUSE_MIN_POSITION: &str = "Dormouse-Min-Position";

const MIN_POSITION: HeaderName = HeaderName::from_static("dormouse-min-position");

/// How long the storage may take to report its head. Usually it takes milliseconds; if it takes longer, the request
/// waits for the view instead.
const HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// The part of the request's time that is reserved for the read itself.
pub(super) fn margin(request_timeout: Duration) -> Duration {
    (request_timeout / 10).min(Duration::from_secs(1))
}

impl Api {
    /// Waits until a view has reached the position that the request asks for, and returns that position. Without one it
    /// does not wait.
    pub(super) async fn wait_until_fresh(&self, view: &ServedView, request: &Parts) -> Result<Position, Problem> {
        let Some(token) = wanted(&request.headers)? else { return Ok(Position::ZERO) };
        let wanted = Position(token.number);
        let wait_max = wait(&request.headers)?.map_or(self.views.wait_max, |wait| wait.min(self.views.wait_max));
        self.refuse_other_history(token).await?;
        if view.reader.progress().borrow().position >= wanted {
            return Ok(wanted);
        }
        self.refuse_other_journal(wanted).await?;
        let now = Instant::now();
        let arrived = request.extensions.get::<Arrival>().map_or(now, |arrival| arrival.at);
        let time_left = (arrived + self.views.wait_deadline).saturating_duration_since(now);
        view.reader.wait_for(wanted, wait_max.min(time_left)).await?;
        Ok(wanted)
    }

    /// Refuses a position beyond the end of the log. A token is issued only after its event is durable. So such a
    /// position belongs to another journal, or to this one before it was restored from a backup. Waiting for it would
    /// only hide that.
    async fn refuse_other_journal(&self, wanted: Position) -> Result<(), Problem> {
        let journal = self.engine.journal();
        if *journal.head().borrow() >= wanted {
            return Ok(());
        }
        // Another node may have appended. If the storage does not answer, the request waits for the view.
        match timeout(HEAD_TIMEOUT, journal.ping()).await {
            Ok(Ok(head)) if head < wanted => {
                let detail = format!("the journal ends at {head}, so {wanted} is a position of another journal");
                Err(Problem::new(&problem::UNKNOWN_POSITION, detail).with("position", head.0).with("wanted", wanted.0))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a result that is older than the requested position: the view was reset or lost in between.
pub(super) fn refuse_stale(at: Position, wanted: Position) -> Result<(), Problem> {
    if at >= wanted { Ok(()) } else { Err(WaitError::Behind { at, wanted }.into()) }
}

fn wanted(headers: &HeaderMap) -> Result<Option<Token>, Problem> {
    let Some(token) = single(headers, &MIN_POSITION, DORMOUSE_MIN_POSITION)? else { return Ok(None) };
    let refused = || invalid(DORMOUSE_MIN_POSITION, "it is not a position of this server".to_owned());
    Token::parse(token).map(Some).ok_or_else(refused)
}
