//! Rates of requests, as in `limits.commands`.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// How often something may happen: `"off"` for no limit, `"100/s"`, `"10/m"`, or `"100/s burst 300"`. Without a burst,
/// as much as one second, minute or hour allows may happen at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// There is no limit.
    Off,
    /// At most this often.
    AtMost {
        /// How often within `per`, on average.
        times: NonZeroU32,
        /// The time in which `times` are allowed.
        per: RateUnit,
        /// How much may happen at once, after a time in which nothing happened.
        burst: NonZeroU32,
    },
}

/// The time that a rate counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateUnit {
    /// `/s`.
    Second,
    /// `/m`.
    Minute,
    /// `/h`.
    Hour,
}

impl Rate {
    const EXPECTED: &str = r#""off", or a rate such as "100/s", "10/m" or "100/s burst 300""#;

    fn parse(text: &str) -> Option<Self> {
        if text == "off" {
            return Some(Self::Off);
        }
        let (rate, burst) = match text.split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(number(burst)?)),
            None => (text, None),
        };
        let (times, per) = rate.split_once('/')?;
        let times = number(times)?;
        let per = [RateUnit::Second, RateUnit::Minute, RateUnit::Hour].into_iter().find(|unit| unit.name() == per)?;
        Some(Self::AtMost { times, per, burst: burst.unwrap_or(times) })
    }
}

/// Digits alone: `parse` would also take a sign.
fn number(text: &str) -> Option<NonZeroU32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl RateUnit {
    /// How long it is.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::AtMost { times, per, burst } if times == burst => write!(f, "{times}/{}", per.name()),
            Self::AtMost { times, per, burst } => write!(f, "{times}/{} burst {burst}", per.name()),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::parsed(from, Self::EXPECTED, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_back_as_it_is_written() {
        for text in ["off", "1/s", "100/s burst 300", "10/m", "4294967295/h burst 1"] {
            assert_eq!(Rate::parse(text).map(|rate| rate.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Rate::parse("5/s burst 5").map(|rate| rate.to_string()).as_deref(), Some("5/s"));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "0/s", "100", "100/d", "/s", "+1/s", "1.5/s", "100/s burst", "100/s burst 0", "100 /s", "Off"]
        {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }
}
