//! What a document has in a declared field, as PostgreSQL computes it: for its indexes, and for the lists that use them.
//!
//! No document may make a write fail. So whatever in it is not of the declared kind counts as missing, and is never
//! converted; and of a text only as much is compared as fits an index.

use crate::fields::{Field, Kind};
use crate::limits::TEXT_CHARS;
use crate::store::listing::Dialect;

/// How JSON writes a number that is not excessively long: what counts repetitions ends at 255.
const REAL: &str = "^-?[0-9]{1,255}(?:[.][0-9]{1,255})?(?:[eE][-+]?[0-9]{1,3})?$";

/// The expressions and parameters of lists.
#[derive(Debug)]
pub(super) struct Expressions;

impl Dialect for Expressions {
    fn field(field: Field) -> String {
        let path = field.path.replace('.', ",");
        // As it stands in the document: texts have quotes around them.
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
            // Converted from the text that was made from the number, it is that number again; a decimal would be another.
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
    // As in the index, which can be read from either end.
    const ASCENDING: &'static str = "ASC NULLS FIRST";
    const DESCENDING: &'static str = "DESC NULLS LAST";
    const WITHOUT_INDEX: Option<&'static str> = None;
}
