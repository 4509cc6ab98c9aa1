//! Scores.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A score from 0 to 1, exact to a millionth. A number with more digits is rounded to the nearest millionth, so sums and
/// comparisons of scores are exact.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(u32);

/// Why a number is not a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScore {
    /// It is infinite, or not a number.
    #[error("a score must be a number")]
    NotFinite,
    /// It is below 0 or above 1.
    #[error("a score must be between 0 and 1")]
    OutOfRange,
}

impl Score {
    /// Nothing is right.
    pub const MIN: Self = Self(0);
    /// All is right.
    pub const MAX: Self = Self(Self::WHOLE);
    /// What completes a lesson, if the application does not say otherwise.
    pub const DEFAULT_PASS: Self = Self(800_000);

    /// The millionths of the largest score.
    const WHOLE: u32 = 1_000_000;

    /// Checks a number.
    ///
    /// # Errors
    /// If it is not finite, or outside 0 to 1.
    pub fn new(score: f64) -> Result<Self, InvalidScore> {
        if !score.is_finite() {
            Err(InvalidScore::NotFinite)
        } else if !(0.0..=1.0).contains(&score) {
            Err(InvalidScore::OutOfRange)
        } else {
            // The product is between 0 and a million, so the conversion loses only the fraction, which is 0.
            Ok(Self((score * f64::from(Self::WHOLE)).round() as u32))
        }
    }

    /// So many millionths, at most the largest score.
    #[must_use]
    pub fn from_millionths(millionths: u64) -> Self {
        Self(u32::try_from(millionths).unwrap_or(Self::WHOLE).min(Self::WHOLE))
    }

    /// The score of `earned` out of `all` points, rounded down: it reaches a pass mark only if the exact fraction does.
    /// Without points there is nothing to earn, and the score is 0.
    #[must_use]
    pub fn of_points(earned: u32, all: u32) -> Self {
        let millionths = u64::from(earned) * u64::from(Self::WHOLE);
        Self::from_millionths(millionths.checked_div(all.into()).unwrap_or_default())
    }

    /// The score in millionths.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// The score as a number from 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.get(), formatter)
    }
}

impl fmt::Debug for Score {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.get())
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl de::Visitor<'_> for Number {
            type Value = Score;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number between 0 and 1")
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Score, E> {
                Score::new(number).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Score, E> {
                if number <= 1 {
                    Ok(Score(number as u32 * Score::WHOLE))
                } else {
                    Err(E::custom(InvalidScore::OutOfRange))
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Score, E> {
                self.visit_u64(u64::try_from(number).map_err(|_| E::custom(InvalidScore::OutOfRange))?)
            }
        }

        deserializer.deserialize_f64(Number)
    }
}

impl JsonSchema for Score {
    fn schema_name() -> Cow<'static, str> {
        "Score".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Score").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "A score from 0 to 1, exact to a millionth.",
        })
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{decode, encode};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_score_is_between_nothing_and_all() {
        for (number, millionths) in [(0.0, 0), (-0.0, 0), (0.85, 850_000), (0.000_000_4, 0), (1.0, 1_000_000)] {
            assert_eq!(Score::new(number).unwrap().millionths(), millionths, "{number}");
        }
        for number in [-0.000_001, 1.000_001, 85.0, f64::MAX] {
            assert_eq!(Score::new(number), Err(InvalidScore::OutOfRange), "{number}");
        }
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Score::new(number), Err(InvalidScore::NotFinite), "{number}");
        }
    }

    #[test]
    fn a_score_of_points_is_rounded_down() {
        assert_eq!(Score::of_points(2, 3).millionths(), 666_666);
        assert_eq!(Score::of_points(3, 3), Score::MAX);
        assert_eq!(Score::of_points(0, 3), Score::MIN);
        assert_eq!(Score::of_points(0, 0), Score::MIN);
        assert_eq!(Score::of_points(u32::MAX, u32::MAX), Score::MAX);
    }

    #[test]
    fn a_score_is_written_as_a_number() {
        assert_eq!(serde_json::to_string(&Score::new(0.85).unwrap()).unwrap(), "0.85");
        for (json, millionths) in [("0", 0), ("1", 1_000_000), ("1.0", 1_000_000), ("1e-6", 1)] {
            assert_eq!(serde_json::from_str::<Score>(json).unwrap().millionths(), millionths, "{json}");
        }
        for json in ["2", "-1", "1.5", "\"1\"", "null"] {
            assert!(serde_json::from_str::<Score>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_stored_score_is_read_back_exactly(millionths in 0..=1_000_000_u64) {
            let score = Score::from_millionths(millionths);
            prop_assert_eq!(decode::<Score>(&encode(&score).unwrap()).unwrap(), score);
            let json = serde_json::to_string(&score).unwrap();
            prop_assert_eq!(serde_json::from_str::<Score>(&json).unwrap(), score);
        }

        #[test]
        fn points_reach_a_mark_exactly_if_their_fraction_does(all in 1..100_000_u32, part in 0.0..=1.0, mark in 0..=1_000_000_u64) {
            let earned = (f64::from(all) * part) as u32;
            let reached = u64::from(earned) * 1_000_000 >= mark * u64::from(all);
            prop_assert_eq!(Score::of_points(earned, all) >= Score::from_millionths(mark), reached);
        }
    }
}
