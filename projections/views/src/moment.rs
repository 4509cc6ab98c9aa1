//! The times in documents.

use std::borrow::Cow;
use std::fmt;

use dormouse_kernel::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time in whole microseconds, with a single way to write it: `2026-11-21T12:23:45.000000Z`. Views compare texts, and
/// of two such texts the one of the later time is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Timestamp);

impl Moment {
    /// The day in UTC.
    #[must_use]
    pub fn day(self) -> Date {
        Offset::UTC.to_datetime(self.0).date()
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        // Events are recorded to the microsecond. A finer time would be lost in JSON, which has six digits of a second.
        let whole = Timestamp::from_microsecond(time.as_microsecond());
        Self(whole.unwrap_or(time))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.6}", self.0)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Moment").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "A time in UTC, always with six digits of a second: 2026-11-21T12:23:45.000000Z.",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(text: &str) -> Moment {
        text.parse::<Timestamp>().unwrap().into()
    }

    #[test]
    fn a_moment_is_written_with_all_its_digits() {
        for (time, expected) in [
            ("2026-11-21T12:23:45Z", "2026-11-21T12:23:45.000000Z"),
            ("2026-11-21T12:23:45.5Z", "2026-11-21T12:23:45.500000Z"),
            ("2026-11-21T12:23:45.123456789Z", "2026-11-21T12:23:45.123456Z"),
            ("2026-11-21T01:00:00+02:00", "2026-11-20T23:00:00.000000Z"),
        ] {
            assert_eq!(moment(time).to_string(), expected);
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        let days = ["2026-11-20T23:59:59.999999Z", "2026-11-21T00:00:00Z", "2026-11-21T01:59:59+02:00"];
        assert_eq!(days.map(|time| moment(time).day().to_string()), ["2026-11-20", "2026-11-21", "2026-11-20"]);
    }

    proptest! {
        /// Years 0 to 9999: the range of RFC 3339.
        #[test]
        fn the_order_of_texts_is_the_order_of_times(
            one in -62_167_219_200_000_000..253_402_207_200_000_000_i64,
            apart in prop_oneof![-2_000_000..2_000_000_i64, any::<i32>().prop_map(|far| i64::from(far) * 1_000_000)],
        ) {
            let other = (one + apart).clamp(-62_167_219_200_000_000, 253_402_207_200_000_000);
            let [one, other] = [one, other].map(|at| Moment::from(Timestamp::from_microsecond(at).unwrap()));
            prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
            let json = serde_json::to_string(&one).unwrap();
            prop_assert_eq!(serde_json::from_str::<Moment>(&json).unwrap(), one);
        }
    }
}
