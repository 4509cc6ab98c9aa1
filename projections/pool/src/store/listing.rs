//! Lists in SQL, for both databases: what differs between them is their [`Dialect`].

use crate::fields::Field;
use crate::limits::ROW_BYTES;
use crate::query::{Filter, Place, Query, Sort, Test, Value};

/// How a database writes what lists need.
pub(super) trait Dialect {
    /// What a document has in a field, as in the index of that field: NULL if it is not there.
    fn field(field: Field) -> String;

    /// True if a document has the field, as a range of its index.
    fn is_there(field: Field) -> String {
        format!("{} IS NOT NULL", Self::field(field))
    }

    /// The parameter of this number, counted from one, that is compared with such a field.
    fn parameter(number: usize, field: Field) -> String;

    /// The parameter of this number that is compared with a key.
    fn key_parameter(number: usize) -> String;

    /// What a list selects of a document before it is known how many fit the page: the document, or its size as `size`
    /// where that is known without reading it.
    const DOCUMENT: &'static str;

    /// True unless both sides are equal; NULL is a value like any other.
    const DIFFERS: &'static str;

    /// What makes documents without a field come first, and last if it descends.
    const ASCENDING: &'static str;
    /// See [`ASCENDING`](Self::ASCENDING).
    const DESCENDING: &'static str;

    /// What stands before an expression so that no index is used for it, in a database that does not know how many
    /// documents meet a condition. It is then told by the statement which index to use. `None` where it knows.
    const WITHOUT_INDEX: Option<&'static str>;
}

/// Documents that are few enough to be sorted: fewer are found by a filter's index, all of them; more are met soon enough
/// on the way along the index of what the list is sorted by. About the root of a page times all documents, where both
/// ways take as long: tens of milliseconds with a million of documents, while the wrong way takes seconds.
const FEW: usize = 5_000;

/// Filters of which it is found out whether they leave few documents.
const LEADING_FILTERS: usize = 3;

/// A value to bind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bind {
    Value(Value),
    Key(String),
}

/// A list as a statement. Its parameters are numbered on after those that stand before it.
#[derive(Debug)]
pub(super) struct Listing {
    /// Selects key, [document](Dialect::DOCUMENT), position, and what the list is sorted by: in order, one more than the
    /// page may have.
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
        let condition = all_of(conditions.iter().cloned());
        let terms = terms(query);
        let whole = || whole::<D>(query, &terms);
        let parts = query.begins_after().map_or_else(whole, |place| writer.behind::<D>(query, &terms, place));
        let ways = match D::WITHOUT_INDEX {
            Some(hide) => ways(query, relation, &conditions, &parts, hide),
            None => parts.iter().map(|part| Way::along_the_order(&condition, part, Vec::new())).collect(),
        };

        let sort = query.sorted_by();
        let values: String =
            sort.iter().enumerate().map(|(n, sort)| format!(", {} AS s{n}", D::field(sort.field))).collect();
        let limit = query.limit() + 1;
        let select = |Way { condition, hide, has_first, guards }: &Way| {
            // As a condition, a guard would be looked at for each document.
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
        let selected: Vec<String> = ways.iter().map(select).collect();
        let rows = match &selected[..] {
            [only] => only.clone(),
            // What all of them have together is short, and sorted at once.
            several => {
                let several: Vec<String> = several.iter().map(|way| format!("SELECT * FROM ({way}) AS way")).collect();
                let by_values = order::<D>(query, &terms, |n| format!("s{n}"), "key");
                format!("SELECT * FROM ({}) AS ways ORDER BY {by_values} LIMIT {limit}", several.join(" UNION ALL "))
            }
        };
        let count = format!("SELECT count(*) FROM {relation} WHERE {condition}");
        Self { rows, count, binds: writer.binds }
    }
}

/// Of rows with a `size`, in their order, those that fit a page, and the one behind them: with their `number`, and whether
/// each `fits`. One does whatever its size.
pub(super) fn fitting(query: &Query, sized: &str) -> String {
    let bytes = i64::try_from(query.bytes()).unwrap_or(i64::MAX);
    format!(
        "SELECT * FROM (
            SELECT *, count(*) FILTER (WHERE fits) OVER () AS fitting FROM (
                SELECT *, number = 1 OR taken <= {bytes} AS fits FROM (
                    SELECT *, row_number() OVER () AS number, sum(size + {ROW_BYTES}) OVER (ROWS UNBOUNDED PRECEDING) AS taken
                    FROM ({sized}) AS sized
                ) AS counted
            ) AS judged
         ) AS fitted
         WHERE number <= fitting + 1"
    )
}

/// Which of the fields that the list is sorted by make a difference: not those that a filter wants to have one value.
fn terms(query: &Query) -> Vec<usize> {
    let is_open = |sort: &Sort| !query.filters().iter().any(|filter| filter.field == sort.field && is_equal(filter));
    query.sorted_by().iter().enumerate().filter(|(_, sort)| is_open(sort)).map(|(n, _)| n).collect()
}

fn is_equal(filter: &Filter) -> bool {
    matches!(filter.test, Test::Equal(_))
}

/// Some of what comes behind a place.
struct Part {
    condition: String,
    /// All documents have the same in the first field that makes a difference. Databases do not see that where the field
    /// is an expression, and would sort them by it.
    has_first: bool,
}

/// All documents. By several fields, in two ranges of the index of the first: without a range, SQLite sorts them all.
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

/// A way to some of the documents of a list; no two of its ways lead to the same.
struct Way {
    condition: String,
    /// What keeps it from the index of what the list is sorted by.
    hide: &'static str,
    /// See [`Part`].
    has_first: bool,
    /// What must be true for it to be taken, whatever the documents.
    guards: Vec<String>,
}

impl Way {
    fn along_the_order(condition: &str, part: &Part, guards: Vec<String>) -> Self {
        let condition = format!("{condition} AND ({})", part.condition);
        Self { condition, hide: "", has_first: part.has_first, guards }
    }
}

/// One way for each filter that may leave few documents, and one along the order of the list for when none does. Which
/// of them is taken turns out when the statement runs; the others end at once.
fn ways(query: &Query, relation: &str, conditions: &[String], parts: &[Part], hide: &'static str) -> Vec<Way> {
    let filters = || query.filters().iter().zip(conditions);
    // The index of a field has the keys of equal values in order.
    let equal = || query.filters().iter().find(|filter| is_equal(filter)).map(|filter| filter.field);
    let ordered_by = terms(query).first().map(|first| query.sorted_by()[*first].field).or_else(equal);
    let is_ordered = |filter: &Filter| Some(filter.field) == ordered_by;

    let leads = filters().enumerate().filter(|(_, (filter, _))| !is_ordered(filter) && filter.test.has_range());
    let mut ways = Vec::new();
    let mut many = Vec::new();
    for (leading, (_, condition)) in leads.take(LEADING_FILTERS) {
        let some = format!("SELECT 1 FROM {relation} WHERE {condition} LIMIT {FEW}");
        let counted = format!("(SELECT count(*) FROM ({some}) AS some)");
        let others = conditions.iter().enumerate().filter(|(number, _)| *number != leading);
        let others = others.map(|(_, condition)| format!("{hide}({condition})"));
        let here = [condition.clone(), format!("{hide}{}", any_of(parts))];
        let condition = all_of(here.into_iter().chain(others));
        let guards = many.iter().cloned().chain([format!("{counted} < {FEW}")]).collect();
        ways.push(Way { condition, hide, has_first: false, guards });
        many.push(format!("{counted} = {FEW}"));
    }
    let seen = |(filter, condition): (&Filter, &String)| match is_ordered(filter) {
        true => condition.clone(),
        false => format!("{hide}({condition})"),
    };
    let rest = all_of(filters().map(seen));
    ways.extend(parts.iter().map(|part| Way::along_the_order(&rest, part, many.clone())));
    ways
}

fn all_of(conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<String> = conditions.collect();
    if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") }
}

fn any_of(parts: &[Part]) -> String {
    let conditions: Vec<String> = parts.iter().map(|part| format!("({})", part.condition)).collect();
    format!("({})", conditions.join(" OR "))
}

/// What stands behind `ORDER BY`, where these fields are such expressions.
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

    /// All texts with a prefix lie between it and the next text that is as long: an index finds them.
    fn prefix<D: Dialect>(&mut self, field: Field, left: &str, prefix: &str) -> String {
        let from = format!("{left} >= {}", self.bind::<D>(field, Value::Text(prefix.to_owned())));
        match next_after(prefix) {
            Some(next) => format!("{from} AND {left} < {}", self.bind::<D>(field, Value::Text(next))),
            None => from,
        }
    }

    /// What is true of all that comes behind a place: of each document, one of these and no other. Each is a range of the
    /// index of the first field: however many documents have the same there, none is passed over.
    fn behind<D: Dialect>(&mut self, query: &Query, terms: &[usize], place: &Place) -> Vec<Part> {
        self.binds.push(Bind::Key(place.key.as_str().to_owned()));
        let key = D::key_parameter(self.before + self.binds.len());
        let further = if query.keys_descend() { "<" } else { ">" };
        let by_key = vec![Part { condition: format!("key {further} {key}"), has_first: false }];
        // From the last field to the first: equal in this one and behind in what follows, or behind in it.
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
