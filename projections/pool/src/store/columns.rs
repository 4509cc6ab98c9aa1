//! The columns of declared fields, in the tables of builds and in SQL views.

use crate::fields::Field;

/// Columns that every table has: ours, and the system columns of PostgreSQL.
const TAKEN: [&str; 9] = ["key", "document", "position", "ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"];

/// The quoted name of a field's column: its path. If that name is taken, `$.` comes before the path.
pub(super) fn column(field: Field) -> String {
    let is_taken = TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(field.path));
    format!("\"{}{}\"", if is_taken { "$." } else { "" }, field.path)
}
