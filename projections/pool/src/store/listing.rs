//! Lists in SQL, for both databases: what differs between them is their [`Dialect`].

use crate::fields::Field;
use crate::query::{Filter, Place, Query, Sort, Test, Value};

/// How a database writes what lists need.
pub(super) trait Dialect {
    /// What a document has in a field, as in the index of that field: NULL if it is not there.
    fn field(field: Field) -> String;

    /// The parameter of this number, counted from one, that is compared with such a field.
    fn parameter(number: usize, field: Field) -> String;

    /// The parameter of this number that is compared with a key.
    fn key_parameter(number: usize) -> String;

    /// True unless both sides are equal; NULL is a value like any other.
    const DIFFERS: &'static str;

    /// What makes documents without a field come first, and last if it descends.
    const ASCENDING: &'static str;
    /// See [`ASCENDING`](Self::ASCENDING).
    const DESCENDING: &'static str;
}

/// A value to bind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bind {
    Value(Value),
    Key(String),
}

/// A list as a statement. Its parameters are numbered on after those that stand before it.
#[derive(Debug)]
pub(super) struct Listing {
    /// Selects key, document, position, and what the list is sorted by: in order, one more than the page may have.
    pub(super) rows: String,
    /// Selects how many documents meet the filters.
    pub(super) count: String,
    pub(super) binds: Vec<Bind>,
}

impl Listing {
    /// The list of a query, from a relation, in a statement that has `before` parameters already.
    pub(super) fn of<D: Dialect>(query: &Query, relation: &str, before: usize) -> Self {
        let mut writer = Writer { before, binds: Vec::new() };
        let conditions: Vec<String> = query.filters().iter().map(|filter| writer.filter::<D>(filter)).collect();
        let condition = if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") };
        let parts =
            query.begins_after().map_or_else(|| vec!["TRUE".to_owned()], |place| writer.behind::<D>(query, place));

        let sort = query.sorted_by();
        let values: String =
            sort.iter().enumerate().map(|(n, sort)| format!(", {} AS s{n}", D::field(sort.field))).collect();
        let limit = query.limit() + 1;
        let by_fields = order::<D>(query, |n| D::field(sort[n].field));
        let select = |part: &String| {
            format!(
                "SELECT key, document, position{values} FROM {relation} WHERE {condition} AND ({part}) \
                 ORDER BY {by_fields} LIMIT {limit}"
            )
        };
        let selected: Vec<String> = parts.iter().map(select).collect();
        let rows = match &selected[..] {
            [only] => only.clone(),
            // Each part is a range of the index; what both have together is short, and sorted at once.
            several => {
                let several: Vec<String> =
                    several.iter().map(|part| format!("SELECT * FROM ({part}) AS part")).collect();
                let by_values = order::<D>(query, |n| format!("s{n}"));
                format!("SELECT * FROM ({}) AS parts ORDER BY {by_values} LIMIT {limit}", several.join(" UNION ALL "))
            }
        };
        let count = format!("SELECT count(*) FROM {relation} WHERE {condition}");
        Self { rows, count, binds: writer.binds }
    }
}

/// What stands behind `ORDER BY`, where the list is sorted by these expressions.
fn order<D: Dialect>(query: &Query, expression: impl Fn(usize) -> String) -> String {
    let term = |(n, sort): (usize, &Sort)| {
        let direction = if sort.is_descending { D::DESCENDING } else { D::ASCENDING };
        format!("{} {direction}, ", expression(n))
    };
    let by_fields: String = query.sorted_by().iter().enumerate().map(term).collect();
    format!("{by_fields}key {}", if query.keys_descend() { "DESC" } else { "ASC" })
}

struct Writer {
    before: usize,
    binds: Vec<Bind>,
}

impl Writer {
    fn bind<D: Dialect>(&mut self, field: Field, value: Value) -> String {
        self.binds.push(Bind::Value(value));
        D::parameter(self.before + self.binds.len(), field)
    }

    fn filter<D: Dialect>(&mut self, Filter { field, test }: &Filter) -> String {
        let (field, left) = (*field, D::field(*field));
        let (operator, value) = match test {
            Test::Equal(value) => ("=", value),
            Test::NotEqual(value) => (D::DIFFERS, value),
            Test::Less(value) => ("<", value),
            Test::AtMost(value) => ("<=", value),
            Test::Greater(value) => (">", value),
            Test::AtLeast(value) => (">=", value),
            Test::In(values) if values.is_empty() => return "FALSE".to_owned(),
            Test::In(values) => {
                let all: Vec<String> = values.iter().map(|value| self.bind::<D>(field, value.clone())).collect();
                return format!("{left} IN ({})", all.join(", "));
            }
            Test::Prefix(prefix) => return self.prefix::<D>(field, &left, prefix),
        };
        format!("{left} {operator} {}", self.bind::<D>(field, value.clone()))
    }

    /// All texts with a prefix lie between it and the next text that is as long: an index finds them.
    fn prefix<D: Dialect>(&mut self, field: Field, left: &str, prefix: &str) -> String {
        let from = format!("{left} >= {}", self.bind::<D>(field, Value::Text(prefix.to_owned())));
        match next_after(prefix) {
            Some(next) => format!("{from} AND {left} < {}", self.bind::<D>(field, Value::Text(next))),
            None => from,
        }
    }

    /// What is true of all that comes behind a place: of each document, one of these and no other.
    fn behind<D: Dialect>(&mut self, query: &Query, place: &Place) -> Vec<String> {
        self.binds.push(Bind::Key(place.key.as_str().to_owned()));
        let key = D::key_parameter(self.before + self.binds.len());
        let by_key = vec![format!("key {} {key}", if query.keys_descend() { "<" } else { ">" })];
        // From the last field to the first: behind in this one, or equal in it and behind in what follows.
        query.sorted_by().iter().zip(&place.values).rev().fold(by_key, |behind, (sort, value)| {
            let (field, behind) = (D::field(sort.field), behind.join(" OR "));
            match value {
                None if sort.is_descending => vec![format!("{field} IS NULL AND ({behind})")],
                None => vec![format!("{field} IS NULL AND ({behind})"), format!("{field} IS NOT NULL")],
                Some(value) => {
                    let value = self.bind::<D>(sort.field, value.clone());
                    let than = if sort.is_descending { "<" } else { ">" };
                    let larger = format!("{field} {than}= {value} AND ({field} {than} {value} OR {behind})");
                    if sort.is_descending { vec![larger, format!("{field} IS NULL")] } else { vec![larger] }
                }
            }
        })
    }
}

/// The smallest text that is larger than all that begin with `prefix`, if there is one.
fn next_after(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // The numbers between 0xd800 and 0xdfff are no characters.
        let next = (u32::from(last) + 1..=0x10_ffff).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_prefix_is_the_next_text_of_its_length() {
        assert_eq!(next_after("ab").as_deref(), Some("ac"));
        assert_eq!(next_after("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(next_after("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(next_after("\u{10ffff}"), None);
        assert_eq!(next_after(""), None);
    }
}
