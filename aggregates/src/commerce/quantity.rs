//! Numbers of pieces.

use crate::commerce::limits;

number_value! {
    /// How many pieces: 1 to 1,000,000.
    Quantity(u32), "quantity", 1, limits::QUANTITY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_one_to_a_million() {
        for number in [1, 2, 1_000_000] {
            assert_eq!(i64::from(Quantity::new(number).unwrap().get()), number);
        }
        for number in [i64::MIN, -1, 0, 1_000_001, i64::MAX] {
            assert!(Quantity::new(number).is_err(), "{number}");
        }
    }

    #[test]
    fn a_refusal_says_the_bounds_and_the_number() {
        assert_eq!(Quantity::new(0).unwrap_err().to_string(), "quantity must be between 1 and 1000000, got 0");
    }
}
