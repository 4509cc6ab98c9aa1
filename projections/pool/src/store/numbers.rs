//! Positions, versions and build numbers as databases have them. A number out of range is damage, never zero.

use dormouse_kernel::{Position, Version};
use dormouse_storage::{OutOfRange, from_sql};

use super::{BuildNumber, Error};

pub(super) fn position(column: &'static str, number: i64) -> Result<Position, OutOfRange> {
    from_sql(number, column).map(Position)
}

pub(super) fn version(column: &'static str, number: i64) -> Result<Version, OutOfRange> {
    from_sql(number, column).map(Version)
}

pub(super) fn build_number(column: &'static str, number: i64) -> Result<BuildNumber, OutOfRange> {
    from_sql(number, column).map(BuildNumber)
}

impl From<OutOfRange> for Error {
    fn from(damage: OutOfRange) -> Self {
        Self::Damaged(damage.to_string())
    }
}
