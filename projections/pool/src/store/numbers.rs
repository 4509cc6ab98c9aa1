//! Numbers as databases have them: whole numbers with a sign and 64 bits.

use dormouse_kernel::Position;

/// A number for a column. No position or version comes near the end of an `i64`.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn position(number: i64) -> Position {
    Position(unsigned(number))
}
