//! Positions and versions as clients carry them: with a mark of the history that they belong to.
//!
//! After the restore of an older state, other events may get the positions of lost ones. So a token is a number and, as
//! in entity tags, a few digits of the hash chain at that number: `1234-3f9a01c7`. Clients send it back unchanged. A
//! bare number, which a client may know from another source, is accepted as well, and is compared with nothing.

use std::fmt;

use axum::http::HeaderValue;
use dormouse_engine::QueryError;
use dormouse_kernel::{Mark, Position};

use super::Api;
use super::address::{LARGEST, Parameters, invalid};
use super::problem::{self, Problem};

/// A position in the log, or a version of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) number: u64,
    pub(super) mark: Option<Mark>,
}

impl Token {
    /// The token before the first event.
    pub(super) const START: Self = Self { number: 0, mark: None };

    pub(super) const fn new(number: u64, mark: Option<Mark>) -> Self {
        Self { number, mark }
    }

    /// Parses what [`Display`](fmt::Display) has written, or a bare number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (digits, mark) = text.split_once('-').map_or((text, None), |(digits, mark)| (digits, Some(mark)));
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|number| is_number && *number <= LARGEST)?;
        let Some(mark) = mark else { return Some(Self::new(number, None)) };
        Mark::parse(mark).map(|mark| Self::new(number, Some(mark)))
    }

    /// The query parameter `after`; [`START`](Self::START) if it is absent.
    pub(super) fn after(parameters: &Parameters<'_>) -> Result<Self, Problem> {
        let Some(value) = parameters.get("after") else { return Ok(Self::START) };
        Self::parse(value).ok_or_else(|| invalid("after", "is neither a whole number nor a token of this server"))
    }

    /// The token as the value of a header.
    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("digits and dashes are visible ASCII")
    }

    /// Refuses a token of another history. `found` is the mark that this history has at the token's number.
    pub(super) fn check(self, found: Option<Mark>) -> Result<(), Problem> {
        let (Some(wanted), Some(found)) = (self.mark, found) else { return Ok(()) };
        if wanted == found {
            return Ok(());
        }
        let detail = format!(
            "{self} belongs to another history: the journal was restored to an earlier state and has other events \
             there now. Rebuild what was derived from it, and start without this token"
        );
        Err(Problem::new(&problem::ANOTHER_HISTORY, detail))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark {
            Some(mark) => write!(formatter, "{}-{mark}", self.number),
            None => self.number.fmt(formatter),
        }
    }
}

impl Api {
    /// Refuses a position whose token is of another history. A position beyond the end of the log is left to the
    /// caller.
    pub(super) async fn refuse_other_history(&self, token: Token) -> Result<(), Problem> {
        if token.mark.is_none() {
            return Ok(());
        }
        let found = self.engine.journal().mark_at(Position(token.number)).await.map_err(QueryError::from)?;
        token.check(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_parsed_as_it_is_written() {
        let token = Token::new(1234, Some(Mark(0x3f9a_01c7)));
        assert_eq!((token.to_string().as_str(), Token::parse("1234-3f9a01c7")), ("1234-3f9a01c7", Some(token)));
        assert_eq!(Token::parse("17"), Some(Token::new(17, None)));
        for text in
            ["", "-", "x", "-1", "1-", "1-3F9A01C7", "1-3f9a", "+1", "1.0", "9223372036854775808", "1-3f9a01c7-1"]
        {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_of_another_history_is_refused_and_a_bare_number_is_not_compared() {
        let (one, other) = (Some(Mark(1)), Some(Mark(2)));
        assert!(Token::new(5, one).check(one).is_ok() && Token::new(5, None).check(one).is_ok());
        assert!(Token::new(5, one).check(None).is_ok(), "the log does not reach that far, which is another error");
        assert_eq!(Token::new(5, one).check(other).unwrap_err().problem_type().slug, "another-history");
    }
}
