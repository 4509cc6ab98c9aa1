//! `Dormouse-Min-Position`: reading what one has written.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use dormouse_kernel::Position;
use dormouse_projections::WaitError;
use tokio::time::{Instant, timeout};

use super::Served;
use crate::http::Api;
use crate::http::conditions::{invalid, single, wait};
use crate::http::envelope::Arrival;
use crate::http::problem::{self, Problem};
use crate::http::token::Token;

/// As requests carry it.
pub(super) const DORMOUSE_MIN_POSITION: &str = "Dormouse-Min-Position";

const MIN_POSITION: HeaderName = HeaderName::from_static("dormouse-min-position");

/// Asking the storage for its head takes milliseconds; if it takes longer, waiting for the view says as much.
const HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// What a request keeps of its time for the answer itself.
pub(super) fn margin(request_timeout: Duration) -> Duration {
    (request_timeout / 10).min(Duration::from_secs(1))
}

impl Api {
    /// Waits until a view is where the request wants it to be, and says where that is. One that wants nothing never
    /// waits.
    pub(super) async fn freshened(&self, view: &Served, request: &Parts) -> Result<Position, Problem> {
        let Some(token) = wanted(&request.headers)? else { return Ok(Position::ZERO) };
        let wanted = Position(token.number);
        let patience = wait(&request.headers)?.map_or(self.views.patience, |wait| wait.min(self.views.patience));
        self.is_of_this_history(token).await?;
        if view.reader.progress().borrow().position >= wanted {
            return Ok(wanted);
        }
        self.is_of_this_journal(wanted).await?;
        let now = Instant::now();
        let arrived = request.extensions.get::<Arrival>().map_or(now, |arrival| arrival.at);
        let time_left = (arrived + self.views.last_call).saturating_duration_since(now);
        view.reader.wait_for(wanted, patience.min(time_left)).await?;
        Ok(wanted)
    }

    /// A token was given out after its event was durable. So one that is beyond the end of the log is of another journal,
    /// or of this one before it was put back to a backup: waiting for it would only hide that.
    async fn is_of_this_journal(&self, wanted: Position) -> Result<(), Problem> {
        let journal = self.engine.journal();
        if *journal.head().borrow() >= wanted {
            return Ok(());
        }
        // Another node may have appended. A storage that does not say leaves it to the view.
        match timeout(HEAD_TIMEOUT, journal.ping()).await {
            Ok(Ok(head)) if head < wanted => {
                let detail = format!("the journal ends at {head}, so that {wanted} is a position of another one");
                Err(Problem::new(&problem::UNKNOWN_POSITION, detail).with("position", head.0).with("wanted", wanted.0))
            }
            _ => Ok(()),
        }
    }
}

/// What was read, unless it is older than it should be: the view was built anew in between.
pub(super) fn fresh_enough(at: Position, wanted: Position) -> Result<(), Problem> {
    if at >= wanted { Ok(()) } else { Err(WaitError::Behind { at, wanted }.into()) }
}

fn wanted(headers: &HeaderMap) -> Result<Option<Token>, Problem> {
    let Some(token) = single(headers, &MIN_POSITION, DORMOUSE_MIN_POSITION)? else { return Ok(None) };
    let refused = || invalid(DORMOUSE_MIN_POSITION, "it is no position that an answer has carried".to_owned());
    Token::parse(token).map(Some).ok_or_else(refused)
}
