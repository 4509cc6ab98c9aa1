//! Numbers as databases have them: whole numbers with a sign and 64 bits. A number out of range is damage, never zero.

use dormouse_journal::store::postgres_sessions::Failure;
use dormouse_kernel::{Position, Version};

use super::{BuildNumber, Error};

/// A column contains a number that no store writes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the column {column} contains {number}")]
pub(super) struct OutOfRange {
    column: &'static str,
    number: i64,
}

/// A number for a column. No position or version comes near the end of an `i64`.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned<N: TryFrom<i64>>(column: &'static str, number: i64) -> Result<N, OutOfRange> {
    N::try_from(number).map_err(|_| OutOfRange { column, number })
}

pub(super) fn position(column: &'static str, number: i64) -> Result<Position, OutOfRange> {
    unsigned(column, number).map(Position)
}

pub(super) fn version(column: &'static str, number: i64) -> Result<Version, OutOfRange> {
    unsigned(column, number).map(Version)
}

pub(super) fn build_number(column: &'static str, number: i64) -> Result<BuildNumber, OutOfRange> {
    unsigned(column, number).map(BuildNumber)
}

impl From<OutOfRange> for Error {
    fn from(damage: OutOfRange) -> Self {
        Self::Damaged(damage.to_string())
    }
}

impl From<OutOfRange> for Failure {
    fn from(damage: OutOfRange) -> Self {
        Self::Damaged(damage.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_names_its_column() {
        assert_eq!(position("builds.position", 7), Ok(Position(7)));
        assert_eq!(position("builds.position", i64::MAX), Ok(Position(i64::MAX as u64)));
        let negative = Error::from(position("builds.position", -1).unwrap_err());
        assert_eq!(negative, Error::Damaged("the column builds.position contains -1".to_owned()));
        assert!(unsigned::<u32>("builds.version", 1 << 32).is_err());
    }
}
