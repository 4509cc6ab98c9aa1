//! How long a job took.

use crate::hosting::limits;

number_value! {
    /// A duration in milliseconds: 0 to 2^53 - 1, so that every JSON reader takes it exactly.
    Milliseconds(u64), "the duration in milliseconds", 0, limits::EXACT_NUMBER
}
