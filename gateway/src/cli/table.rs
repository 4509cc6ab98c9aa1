//! Tables for people.

/// Rows below a heading. Each column is as wide as its widest cell, and numbers are aligned to the right.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
    /// Whether the column has numbers.
    is_number: [bool; N],
}

impl<const N: usize> Table<N> {
    /// A table with these headings. A heading that ends with `#` marks a column of numbers.
    pub(super) fn headed(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(|heading| heading.trim_end_matches('#').to_owned())],
            is_number: headings.map(|heading| heading.ends_with('#')),
        }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        // A cell is one line, whatever text it holds.
        self.rows.push(cells.map(|cell| cell.lines().map(str::trim).collect::<Vec<_>>().join(" ")));
    }

    /// The whole table, with its last line break.
    pub(super) fn text(&self) -> String {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; N] = std::array::from_fn(width);
        let line = |row: &[String; N]| {
            let cells = (0..N).map(|column| {
                let (cell, width) = (&row[column], widths[column]);
                if self.is_number[column] { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::headed(["NAME", "LAG#", "WHY"]);
        table.row(["orders".to_owned(), "7".to_owned(), String::new()]);
        table.row(["x".to_owned(), "12345".to_owned(), "two\n  lines".to_owned()]);
        assert_eq!(table.text(), "NAME      LAG  WHY\norders      7\nx       12345  two lines\n");
    }
}
