//! Money in cents. The domain does not know the currency.

use crate::commerce::{Quantity, limits};

number_value! {
    /// An amount of money in cents: 0 to 2^53 - 1, so that every JSON reader takes it exactly.
    Cents(u64), "the amount in cents", 0, limits::CENTS
}

impl Cents {
    /// The sum. `None` if it is above the maximum.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).filter(|sum| *sum <= Self::MAX.0).map(Self)
    }

    /// The sum, at most the maximum.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        self.checked_add(other).unwrap_or(Self::MAX)
    }

    /// The price of several pieces. `None` if it is above the maximum.
    #[must_use]
    pub fn checked_times(self, quantity: Quantity) -> Option<Self> {
        self.0.checked_mul(u64::from(quantity.get())).filter(|product| *product <= Self::MAX.0).map(Self)
    }
}

/// No money.
impl Default for Cents {
    fn default() -> Self {
        Self::MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_zero_or_more_and_exact_in_json() {
        assert_eq!(Cents::new(0).unwrap(), Cents::default());
        assert_eq!(Cents::new(9_007_199_254_740_991_u64).unwrap(), Cents::MAX);
        for number in [-1, 9_007_199_254_740_992, i64::MIN, i64::MAX] {
            assert!(Cents::new(number).is_err(), "{number}");
        }
        let refusal = Cents::new(-1).unwrap_err().to_string();
        assert_eq!(refusal, "the amount in cents must be between 0 and 9007199254740991, got -1");
    }

    #[test]
    fn arithmetic_stops_at_the_bound() {
        let one = Cents::new(1).unwrap();
        let two = Quantity::new(2).unwrap();
        let half = Cents::new(4_503_599_627_370_495_u64).unwrap();
        assert_eq!(half.checked_times(two), Cents::new(9_007_199_254_740_990_u64).ok());
        assert_eq!(half.checked_add(one).unwrap().checked_times(two), None);
        assert_eq!(Cents::MAX.checked_times(Quantity::MAX), None);
        assert_eq!(half.checked_add(half).unwrap().checked_add(one), Some(Cents::MAX));
        assert_eq!(Cents::MAX.checked_add(one), None);
        assert_eq!(Cents::MAX.saturating_add(one), Cents::MAX);
    }
}
