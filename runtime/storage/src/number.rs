//! Positions, versions, epochs and limits as databases count them: SQL has no unsigned numbers.

/// A number as a database has it.
///
/// A number beyond `i64::MAX` becomes `i64::MAX`: no position or version gets that far, and a limit that large is none.
#[must_use]
pub fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that was read from a column.
///
/// # Errors
/// If it is negative: no version of Dormouse wrote it, so the row is damaged.
pub fn from_sql(number: i64, column: &'static str) -> Result<u64, NegativeNumber> {
    u64::try_from(number).map_err(|_| NegativeNumber { column, number })
}

/// A negative number where only counts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {column} in a row is {number}, a negative number")]
pub struct NegativeNumber {
    column: &'static str,
    number: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_the_way_to_the_database_and_back() {
        for number in [0, 1, i64::MAX.cast_unsigned()] {
            assert_eq!(from_sql(to_sql(number), "version"), Ok(number));
        }
    }

    #[test]
    fn a_limit_beyond_what_a_database_can_count_is_the_largest_it_can() {
        assert_eq!(to_sql(u64::MAX), i64::MAX);
    }

    #[test]
    fn a_negative_number_is_damage_that_names_its_column() {
        let error = from_sql(-1, "version").unwrap_err();
        assert_eq!(error.to_string(), "the version in a row is -1, a negative number");
    }
}
