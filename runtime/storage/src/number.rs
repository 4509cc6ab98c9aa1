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
/// If it is negative, or too large for `N`: no version of Dormouse wrote it, so the row is damaged.
pub fn from_sql<N: TryFrom<i64>>(number: i64, column: &'static str) -> Result<N, OutOfRange> {
    N::try_from(number).map_err(|_| OutOfRange { column, number })
}

/// A column contains a number that no store writes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the column {column} contains {number}")]
pub struct OutOfRange {
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
    fn a_number_out_of_range_is_damage_that_names_its_column() {
        let negative = from_sql::<u64>(-1, "version").unwrap_err();
        assert_eq!(negative.to_string(), "the column version contains -1");
        assert!(from_sql::<u32>(1 << 32, "version").is_err());
    }
}
