//! Lists in SQL, for both databases. The [`Dialect`] has what differs between them.

use crate::fields::Field;
use crate::limits::ROW_BYTES;
use crate::query::{Filter, Place, Query, Sort, Test, Value};

/// How a database writes the parts of a list in SQL.
pub(super) trait Dialect {
    /// The value of a field, as the index of that field has it: NULL if it is missing.
    fn field(field: Field) -> String;

    /// The condition that a document has the field, as a range of its index.
    fn is_there(field: Field) -> String {
        format!("{} IS NOT NULL", Self::field(field))
    }

    /// The parameter with this number, counted from one, for a comparison with a field.
    fn parameter(number: usize, field: Field) -> String;

    /// The parameter with this number, for a comparison with a key.
    fn key_parameter(number: usize) -> String;

    /// The column that a list selects before it is known how many documents fit the page: the document, or its size as
    /// `size` if the database knows that without reading the document.
    const DOCUMENT: &'static str;

    /// The operator that is true unless both sides are equal; NULL is a value like any other.
    const DIFFERS: &'static str;

    /// The order in which documents without the field come first.
    const ASCENDING: &'static str;
    /// The order in which documents without the field come last.
    const DESCENDING: &'static str;

    /// The prefix that keeps an expression from using an index, for a database without statistics: there the statement
    /// decides which index is used. `None`: the planner decides.
    const WITHOUT_INDEX: Option<&'static str>;
}

/// If fewer documents than this match a filter, all of them are found by the filter's index and sorted. If more match,
/// a page of them is soon found along the index of the order. Both plans take equally long at about the square root of
/// the product of page size and number of documents: tens of milliseconds with a million documents. The wrong plan can
/// take seconds.
const FEW: usize = 5_000;

/// The most filters that get a plan of their own, which is used if few documents match the filter.
const LEADING_FILTERS: usize = 3;

/// A value to bind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bind {
    Value(Value),
    Key(String),
}

/// A list as SQL. Its parameters are numbered after those that come before it in the statement.
#[derive(Debug)]
pub(super) struct Listing {
    /// Selects key, [document](Dialect::DOCUMENT), position, and the values that the list is sorted by: in order, one
    /// document more than the limit.
    pub(super) rows: String,
    /// Selects the number of documents that match the filters.
    pub(super) count: String,
    pub(super) binds: Vec<Bind>,
}

impl Listing {
    /// The list of a query on a table or SQL view, in a statement that has `before` parameters already.
    pub(super) fn of<D: Dialect>(query: &Query, relation: &str, before: usize) -> Self {
        let mut writer = Writer { before, binds: Vec::new() };
        let conditions: Vec<String> = query.filters().iter().map(|filter| writer.filter::<D>(filter)).collect();
        let condition = all_of(conditions.iter().cloned());
        let terms = terms(query);
        let whole = || whole::<D>(query, &terms);
        let parts = query.begins_after().map_or_else(whole, |place| writer.behind::<D>(query, &terms, place));
        let plans = match D::WITHOUT_INDEX {
            Some(hide) => plans(query, relation, &conditions, &parts, hide),
            None => parts.iter().map(|part| Plan::along_the_order(&condition, part, Vec::new())).collect(),
        };

        let sort = query.sorted_by();
        let values: String =
            sort.iter().enumerate().map(|(n, sort)| format!(", {} AS s{n}", D::field(sort.field))).collect();
        let limit = query.limit() + 1;
        let select = |Plan { condition, hide, has_first, guards }: &Plan| {
            // As a condition, a guard would be evaluated for each document.
            let limit = match &guards[..] {
                [] => limit.to_string(),
                guards => format!("CASE WHEN {} THEN {limit} ELSE 0 END", guards.join(" AND ")),
            };
            let expression = |n: usize| format!("{hide}{}", D::field(sort[n].field));
            let order = order::<D>(query, &terms[usize::from(*has_first)..], expression, &format!("{hide}key"));
            format!(
                "SELECT key, {}, position{values} FROM {relation} WHERE {condition} ORDER BY {order} LIMIT {limit}",
                D::DOCUMENT
            )
        };
        let selected: Vec<String> = plans.iter().map(select).collect();
        let rows = match &selected[..] {
            [only] => only.clone(),
            // The union of all plans is short, so it is sorted as a whole.
            several => {
                let several: Vec<String> =
                    several.iter().map(|plan| format!("SELECT * FROM ({plan}) AS part")).collect();
                let by_values = order::<D>(query, &terms, |n| format!("s{n}"), "key");
                format!("SELECT * FROM ({}) AS parts ORDER BY {by_values} LIMIT {limit}", several.join(" UNION ALL "))
            }
        };
        let count = format!("SELECT count(*) FROM {relation} WHERE {condition}");
        Self { rows, count, binds: writer.binds }
    }
}

/// Selects, from sorted rows with a `size`, those that fit a page and the next one: with their `number`, and whether
/// each `fits`. The first row fits whatever its size.
pub(super) fn fitting(query: &Query, sized: &str) -> String {
    let bytes = i64::try_from(query.bytes()).unwrap_or(i64::MAX);
    format!(
        "SELECT * FROM (
            SELECT *, count(*) FILTER (WHERE fits) OVER () AS fitting FROM (
                SELECT *, number = 1 OR taken <= {bytes} AS fits FROM (
                    SELECT *, row_number() OVER () AS number, sum(size + {ROW_BYTES}) OVER (ROWS UNBOUNDED PRECEDING) AS taken
                    FROM ({sized}) AS sized
                ) AS counted
            ) AS marked
         ) AS fitted
         WHERE number <= fitting + 1"
    )
}

/// The sort fields that make a difference, by number: not those that a filter requires to be equal to one value.
fn terms(query: &Query) -> Vec<usize> {
    let is_open = |sort: &Sort| !query.filters().iter().any(|filter| filter.field == sort.field && is_equal(filter));
    query.sorted_by().iter().enumerate().filter(|(_, sort)| is_open(sort)).map(|(n, _)| n).collect()
}

fn is_equal(filter: &Filter) -> bool {
    matches!(filter.test, Test::Equal(_))
}

/// A part of the documents after a place. The parts are disjoint.
struct Part {
    condition: String,
    /// Whether all its documents have the same value in the first sort field that makes a difference. If the field is
    /// an expression, a database does not detect that, and would sort the documents by it.
    has_first: bool,
}

/// All documents. If there are several sort fields: two ranges of the index of the first field, because without a range
/// SQLite sorts all documents.
fn whole<D: Dialect>(query: &Query, terms: &[usize]) -> Vec<Part> {
    let part = |condition: String, has_first| Part { condition, has_first };
    match terms {
        [] | [_] => vec![part("TRUE".to_owned(), false)],
        [first, ..] => {
            let field = query.sorted_by()[*first].field;
            vec![part(format!("{} IS NULL", D::field(field)), true), part(D::is_there(field), false)]
        }
    }
}

/// A plan that finds some of the documents of a list. No two plans find the same document.
struct Plan {
    condition: String,
    /// The prefix that keeps it from using the index of the order.
    hide: &'static str,
    /// See [`Part`].
    has_first: bool,
    /// The plan runs only if all of these are true. They do not depend on a document.
    guards: Vec<String>,
}

impl Plan {
    fn along_the_order(condition: &str, part: &Part, guards: Vec<String>) -> Self {
        let condition = format!("{condition} AND ({})", part.condition);
        Self { condition, hide: "", has_first: part.has_first, guards }
    }
}

/// A plan for each filter that few documents may match, and one along the order of the list if many documents match
/// each of these filters. Which plan is used is decided when the statement runs; the other plans end at once.
fn plans(query: &Query, relation: &str, conditions: &[String], parts: &[Part], hide: &'static str) -> Vec<Plan> {
    let filters = || query.filters().iter().zip(conditions);
    // The index of a field has the keys of equal values in order, so an equal filter orders by key.
    let equal = || query.filters().iter().find(|filter| is_equal(filter)).map(|filter| filter.field);
    let ordered_by = terms(query).first().map(|first| query.sorted_by()[*first].field).or_else(equal);
    let is_ordered = |filter: &Filter| Some(filter.field) == ordered_by;

    let leads = filters().enumerate().filter(|(_, (filter, _))| !is_ordered(filter) && filter.test.has_range());
    let mut plans = Vec::new();
    let mut many = Vec::new();
    for (leading, (_, condition)) in leads.take(LEADING_FILTERS) {
        let some = format!("SELECT 1 FROM {relation} WHERE {condition} LIMIT {FEW}");
        let counted = format!("(SELECT count(*) FROM ({some}) AS some)");
        let others = conditions.iter().enumerate().filter(|(number, _)| *number != leading);
        let others = others.map(|(_, condition)| format!("{hide}({condition})"));
        let here = [condition.clone(), format!("{hide}{}", any_of(parts))];
        let condition = all_of(here.into_iter().chain(others));
        let guards = many.iter().cloned().chain([format!("{counted} < {FEW}")]).collect();
        plans.push(Plan { condition, hide, has_first: false, guards });
        many.push(format!("{counted} = {FEW}"));
    }
    let seen = |(filter, condition): (&Filter, &String)| match is_ordered(filter) {
        true => condition.clone(),
        false => format!("{hide}({condition})"),
    };
    let rest = all_of(filters().map(seen));
    plans.extend(parts.iter().map(|part| Plan::along_the_order(&rest, part, many.clone())));
    plans
}

fn all_of(conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<String> = conditions.collect();
    if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") }
}

fn any_of(parts: &[Part]) -> String {
    let conditions: Vec<String> = parts.iter().map(|part| format!("({})", part.condition)).collect();
    format!("({})", conditions.join(" OR "))
}

/// The terms of `ORDER BY`, with the expressions of these fields.
fn order<D: Dialect>(query: &Query, terms: &[usize], expression: impl Fn(usize) -> String, key: &str) -> String {
    let term = |n: &usize| {
        let direction = if query.sorted_by()[*n].is_descending { D::DESCENDING } else { D::ASCENDING };
        format!("{} {direction}, ", expression(*n))
    };
    let by_fields: String = terms.iter().map(term).collect();
    format!("{by_fields}{key} {}", if query.keys_descend() { "DESC" } else { "ASC" })
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

    /// All texts with a prefix are between it and the next text of the same length, which is a range of an index.
    fn prefix<D: Dialect>(&mut self, field: Field, left: &str, prefix: &str) -> String {
        let from = format!("{left} >= {}", self.bind::<D>(field, Value::Text(prefix.to_owned())));
        match next_after(prefix) {
            Some(next) => format!("{from} AND {left} < {}", self.bind::<D>(field, Value::Text(next))),
            None => from,
        }
    }

    /// The parts of the documents after a place: exactly one condition is true for each document. Each part is a range
    /// of the index of the first field, so that documents before the place with the same value there are not read.
    fn behind<D: Dialect>(&mut self, query: &Query, terms: &[usize], place: &Place) -> Vec<Part> {
        self.binds.push(Bind::Key(place.key.as_str().to_owned()));
        let key = D::key_parameter(self.before + self.binds.len());
        let further = if query.keys_descend() { "<" } else { ">" };
        let by_key = vec![Part { condition: format!("key {further} {key}"), has_first: false }];
        // From the last field to the first: equal in this field and after the place in the later ones, or after the
        // place in this field.
        terms.iter().rev().fold(by_key, |behind, n| {
            let Sort { field, is_descending } = query.sorted_by()[*n];
            let (expression, behind) = (D::field(field), any_of(&behind));
            let part = |condition: String, has_first| Part { condition, has_first };
            match place.values[*n].clone() {
                None => {
                    let mut parts = vec![part(format!("{expression} IS NULL AND {behind}"), true)];
                    if !is_descending {
                        parts.push(part(D::is_there(field), false));
                    }
                    parts
                }
                Some(value) => {
                    let value = self.bind::<D>(field, value);
                    let than = if is_descending { "<" } else { ">" };
                    let mut parts = vec![
                        part(format!("{expression} = {value} AND {behind}"), true),
                        part(format!("{expression} {than} {value}"), false),
                    ];
                    if is_descending {
                        parts.push(part(format!("{expression} IS NULL"), true));
                    }
                    parts
                }
            }
        })
    }
}

/// The smallest text that is larger than all texts with the prefix, if there is one.
fn next_after(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // The numbers between 0xd800 and 0xdfff are not characters.
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
    fn the_end_of_a_prefix_is_the_next_text_of_its_length() {
        assert_eq!(next_after("ab").as_deref(), Some("ac"));
        assert_eq!(next_after("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(next_after("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(next_after("\u{10ffff}"), None);
        assert_eq!(next_after(""), None);
    }
}
