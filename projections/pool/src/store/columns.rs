//! The columns of declared fields, in the tables of builds and in what SQL is shown.

use crate::fields::Field;

/// Columns of every table: ours, and those that PostgreSQL has in each.
const TAKEN: [&str; 9] = ["key", "document", "position", "ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"];

/// The name of a field's column, as it stands in SQL: its path. One that is taken is called `$.` and the path.
pub(super) fn column(field: Field) -> String {
    let is_taken = TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(field.path));
    format!("\"{}{}\"", if is_taken { "$." } else { "" }, field.path)
}
