//! Cron expressions, in a time zone.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::schedule::CatchUp;

/// A cron expression of five fields (minute, hour, day of month, month, day of week), or of six with seconds before
/// them. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` are allowed, too.
///
/// A time that summer time skips is due when summer time begins; one that occurs twice is due at its first occurrence.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Cron {
    /// In a box, because it is large.
    pattern: Box<croner::Cron>,
    expression: String,
    time_zone: TimeZone,
    pub(crate) catch_up: CatchUp,
}

/// Why a cron expression is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// It cannot be parsed.
    #[error("{expression:?} is not a cron expression: {reason}")]
    Syntax {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It names no time that ever comes, such as 30 February.
    #[error("the cron expression {expression:?} is never due")]
    Never {
        /// The expression.
        expression: String,
    },
    /// There is no such time zone.
    #[error("{0:?} is not a time zone: use a name such as \"Europe/Berlin\"")]
    TimeZone(String),
}

/// The stored form.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    expression: String,
    time_zone: String,
}

impl Cron {
    /// Parses an expression, in UTC. Missed times are caught up [once](CatchUp::One).
    ///
    /// # Errors
    /// If it is not valid, or if it is never due.
    pub fn new(expression: &str) -> Result<Self, InvalidCron> {
        let pattern = croner::Cron::from_str(expression)
            .map_err(|error| InvalidCron::Syntax { expression: expression.to_owned(), reason: error.to_string() })?;
        let cron = Self {
            pattern: Box::new(pattern),
            expression: expression.to_owned(),
            time_zone: TimeZone::UTC,
            catch_up: CatchUp::One,
        };
        match cron.next_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(cron),
            None => Err(InvalidCron::Never { expression: expression.to_owned() }),
        }
    }

    /// The same in a time zone of the IANA database.
    ///
    /// # Errors
    /// If there is no such time zone.
    pub fn in_time_zone(mut self, name: &str) -> Result<Self, InvalidCron> {
        self.time_zone = TimeZone::get(name).map_err(|_| InvalidCron::TimeZone(name.to_owned()))?;
        Ok(self)
    }

    /// The same with another rule for missed times.
    #[must_use]
    pub const fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// The first time after `time`.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let after = time.to_zoned(self.time_zone.clone());
        Some(self.pattern.find_next_occurrence(&after, false).ok()?.timestamp())
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        (&self.expression, &self.time_zone, self.catch_up) == (&other.expression, &other.time_zone, other.catch_up)
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.expression, self.zone_name())
    }
}

impl Cron {
    fn zone_name(&self) -> &str {
        self.time_zone.iana_name().unwrap_or("UTC")
    }
}

impl TryFrom<Stored> for Cron {
    type Error = InvalidCron;

    fn try_from(stored: Stored) -> Result<Self, InvalidCron> {
        Self::new(&stored.expression)?.in_time_zone(&stored.time_zone)
    }
}

impl From<Cron> for Stored {
    fn from(cron: Cron) -> Self {
        Self { time_zone: cron.zone_name().to_owned(), expression: cron.expression }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_expression_that_is_wrong_or_never_due_is_refused() {
        for (expression, part) in [("every day", "not a cron expression"), ("0 0 30 2 *", "never due")] {
            let refused = Cron::new(expression).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
        }
        assert!(Cron::new("0 9 * * *").unwrap().in_time_zone("Europe/Atlantis").is_err());
    }

    #[test]
    fn a_daily_time_follows_summer_time() {
        let nine = Cron::new("0 9 * * *").unwrap().in_time_zone("Europe/Berlin").unwrap();
        assert_eq!(nine.next_after(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T07:00:00Z")));
        assert_eq!(nine.next_after(at("2026-03-27T12:00:00Z")), Some(at("2026-03-28T08:00:00Z")));
        // 02:30 does not exist on the day on which summer time begins.
        let skipped = Cron::new("30 2 * * *").unwrap().in_time_zone("Europe/Berlin").unwrap();
        assert_eq!(skipped.next_after(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
    }
}
