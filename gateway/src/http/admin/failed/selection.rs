//! The dead letters that a request selects: those of one listener or of all, from a place on.

use std::collections::HashMap;

use axum::http::Uri;
use dormouse_kernel::Position;
use dormouse_messaging::store::JobId;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::Api;
use crate::http::address::{LARGEST, Parameters, invalid, query_without};
use crate::http::problem::Problem;

/// A part of the list of all dead letters, which is by listener, then by job.
pub(super) struct Selection {
    /// The listeners in the order of the list, those before the place too.
    all: Vec<String>,
    /// The number of the listener at which the selection begins, and the last of its jobs that is left out.
    first: usize,
    after: Option<JobId>,
    /// Whether the request names the listener.
    is_named: bool,
}

/// The numbers of dead letters, by listener.
pub(super) struct DeadNumbers(HashMap<String, u64>);

impl Selection {
    /// Reads the parameters `listener` and `after`.
    pub(super) fn of(api: &Api, parameters: &Parameters<'_>) -> Result<Self, Problem> {
        let known = api.listener_names();
        let find = |name: &str| known.iter().position(|known| known == name).ok_or_else(|| api.unknown_listener(name));
        let no_id = || {
            let what = "is not the id of a job, such as 1234, or handler/receipt:1234 if the request names no listener";
            invalid("after", what)
        };
        let after = parameters.get("after");
        match parameters.get("listener") {
            Some(name) => {
                find(name)?;
                let after = after.map(|after| parse_id(after).ok_or_else(no_id)).transpose()?;
                Ok(Self { all: vec![name.to_owned()], first: 0, after, is_named: true })
            }
            None => {
                let (first, after) = match after {
                    Some(after) => {
                        let (name, id) = after.rsplit_once(':').ok_or_else(no_id)?;
                        (find(name)?, Some(parse_id(id).ok_or_else(no_id)?))
                    }
                    None => (0, None),
                };
                Ok(Self { all: known, first, after, is_named: false })
            }
        }
    }

    /// The listeners from the place on, each with the job after which its dead letters are selected.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, Option<JobId>)> {
        let all = self.all.iter().enumerate().skip(self.first);
        all.map(move |(number, name)| (name.as_str(), self.after.filter(|_| number == self.first)))
    }

    /// How many dead letters the listeners have, whatever the place.
    pub(super) async fn dead(&self, api: &Api) -> Result<DeadNumbers, Problem> {
        let consumers = api.messaging.consumers().await?;
        let dead = consumers.into_iter().map(|info| (info.name.to_string(), info.jobs.dead));
        Ok(DeadNumbers(dead.filter(|(name, _)| self.all.contains(name)).collect()))
    }

    /// The address of the same request, after this job.
    pub(super) fn next(&self, uri: &Uri, listener: &str, id: JobId) -> String {
        let id = id_text(id);
        let place = if self.is_named { id } else { format!("{listener}:{id}") };
        let place = utf8_percent_encode(&place, NON_ALPHANUMERIC);
        format!("{}?after={place}{}", uri.path(), query_without(uri, "after"))
    }
}

impl DeadNumbers {
    pub(super) fn of(&self, listener: &str) -> u64 {
        self.0.get(listener).copied().unwrap_or_default()
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// The id of a job as text: the position of its event, and its part if it has one.
pub(super) fn id_text(JobId { position, part }: JobId) -> String {
    if part == 0 { position.to_string() } else { format!("{position}.{part}") }
}

/// Reads the id of a job.
pub(super) fn parse_id(text: &str) -> Option<JobId> {
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number| is_number && *number <= LARGEST)
    };
    let (position, part) = text.split_once('.').unwrap_or((text, "0"));
    Some(JobId { position: Position(number(position)?), part: i64::try_from(number(part)?).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_job_is_a_position_with_or_without_a_part() {
        for (position, part, text) in
            [(7, 0, "7"), (1234, 5, "1234.5"), (LARGEST, i64::MAX, "9223372036854775807.9223372036854775807")]
        {
            let id = JobId { position: Position(position), part };
            assert_eq!((id_text(id), parse_id(text)), (text.to_owned(), Some(id)));
        }
        for text in
            ["", ".", "7.", ".5", "-7", "7.-5", "+7", "7.5.1", "7,5", "9223372036854775808", "7.9223372036854775808"]
        {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }
}
