//! The SQL expressions of declared fields: for the indexes, and for the lists that use them.
//!
//! No document may make a write fail. So a value that is not of the declared kind counts as missing and is never
//! converted, and only as much of a text is compared as fits an index.

use crate::fields::{Field, HASHES, Kind};
use crate::limits::TEXT_CHARS;
use crate::store::listing::Dialect;

/// A number in JSON that is not excessively long: PostgreSQL's regular expressions count up to 255 repetitions.
const REAL: &str = "^-?[0-9]{1,255}(?:[.][0-9]{1,255})?(?:[eE][-+]?[0-9]{1,3})?$";

/// The expressions and parameters of lists.
#[derive(Debug)]
pub(super) struct Expressions;

impl Dialect for Expressions {
    fn field(field: Field) -> String {
        let path = match field.is_hashed {
            false => field.path.replace('.', ","),
            true => format!("\"{HASHES}\",\"{}\"", field.path),
        };
        // The JSON text of the value: a text has quotes around it.
        let written = format!("((document #> '{{{path}}}')::text COLLATE \"C\")");
        match field.kind {
            Kind::Text => format!(
                "(CASE json_typeof(document #> '{{{path}}}') WHEN 'string' \
                 THEN left(document #>> '{{{path}}}', {TEXT_CHARS}) END COLLATE \"C\")"
            ),
            // A regular expression for each number would take most of the time of a commit.
            Kind::Integer => format!(
                "(CASE WHEN ltrim({written}, '-0123456789') <> '' THEN NULL \
                 WHEN length({written}) <= 18 THEN {written}::numeric \
                 WHEN length({written}) <= 20 AND {written}::numeric BETWEEN {} AND {} THEN {written}::numeric END)",
                i64::MIN,
                u64::MAX
            ),
            // Converted directly from its text, the number is exactly the one that was written. A conversion through a
            // decimal number could change it.
            Kind::Real => {
                let number = format!("substring({written} from '{REAL}')");
                format!(
                    "(CASE WHEN length({written}) <= 200 AND ltrim({written}, '-.0123456789') = '' \
                     THEN {written}::double precision \
                     WHEN abs({number}::numeric) BETWEEN 5e-324 AND {:e} THEN {number}::double precision \
                     WHEN {number}::numeric = 0 THEN 0 END)",
                    f64::MAX
                )
            }
            Kind::Boolean => format!("(CASE {written} WHEN 'true' THEN true WHEN 'false' THEN false END)"),
        }
    }

    fn parameter(number: usize, field: Field) -> String {
        match field.kind {
            Kind::Text => format!("left(${number}::text, {TEXT_CHARS})"),
            Kind::Integer => format!("${number}::text::numeric"),
            Kind::Real => format!("${number}::double precision"),
            Kind::Boolean => format!("${number}::boolean"),
        }
    }

    fn key_parameter(number: usize) -> String {
        format!("${number}::text")
    }

    const DOCUMENT: &'static str = "document::text AS text";
    const DIFFERS: &'static str = "IS DISTINCT FROM";
    // As in the index, which can be read from both ends.
    const ASCENDING: &'static str = "ASC NULLS FIRST";
    const DESCENDING: &'static str = "DESC NULLS LAST";
    const WITHOUT_INDEX: Option<&'static str> = None;
}
