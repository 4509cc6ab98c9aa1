//! Sizes in bytes.

use crate::hosting::limits;

number_value! {
    /// A size in bytes: 0 to 2^53 - 1, so that every JSON reader takes it exactly.
    ByteSize(u64), "the size in bytes", 0, limits::EXACT_NUMBER
}
