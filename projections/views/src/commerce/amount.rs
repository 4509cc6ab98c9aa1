//! Sums of money over many orders.

use dormouse_aggregates::commerce::Cents;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A sum of cents, which may be negative. One order costs at most 2^53 - 1, so a thousand orders can reach the bounds
/// of 64 bits. The sum then stays at the bound, because a projection cannot refuse an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Amount(i64);

impl Amount {
    /// The sum in cents.
    #[must_use]
    pub const fn cents(self) -> i64 {
        self.0
    }

    pub(super) fn plus(self, cents: Cents) -> Self {
        Self(self.0.saturating_add_unsigned(cents.get()))
    }

    pub(super) fn minus(self, cents: Cents) -> Self {
        Self(self.0.saturating_sub_unsigned(cents.get()))
    }
}

impl From<i64> for Amount {
    fn from(cents: i64) -> Self {
        Self(cents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_stays_at_its_bounds() {
        let many = (0..1_025).fold(Amount::default(), |sum, _| sum.plus(Cents::MAX));
        assert_eq!(many.cents(), i64::MAX);
        let few = (0..1_023).fold(Amount::default(), |sum, _| sum.plus(Cents::MAX));
        assert_eq!(few.cents(), 1_023 * 9_007_199_254_740_991);
        let debts = (0..1_025).fold(Amount::default(), |sum, _| sum.minus(Cents::MAX));
        assert_eq!(debts.cents(), i64::MIN);
    }
}
