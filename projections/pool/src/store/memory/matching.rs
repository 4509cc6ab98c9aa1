//! Which documents meet a query, and how they are sorted: what the databases do in SQL, said plainly.

use std::cmp::Ordering;

use serde_json::Value as Json;

use crate::fields::{Field, Kind};
use crate::query::{Place, Query, Test, Value};
use crate::store::Row;

/// The place of a document in the list, if it meets all filters.
pub(super) fn place(query: &Query, row: &Row) -> Option<Place> {
    let document: Json = serde_json::from_str(&row.document).unwrap_or_default();
    let meets_all = query.filters().iter().all(|filter| meets(&filter.test, value(&document, filter.field).as_ref()));
    let values = || query.sorted_by().iter().map(|sort| value(&document, sort.field)).collect();
    meets_all.then(|| Place { values: values(), key: row.key.clone() })
}

/// How two places in a list follow each other.
pub(super) fn order(query: &Query, one: &Place, other: &Place) -> Ordering {
    let directed = |order: Ordering, is_descending| if is_descending { order.reverse() } else { order };
    let by_fields = query.sorted_by().iter().zip(one.values.iter().zip(&other.values)).map(|(sort, (one, other))| {
        let order = match (one, other) {
            (Some(one), Some(other)) => one.order(other),
            // Nothing comes before everything.
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        directed(order, sort.is_descending)
    });
    let by_key = directed(one.key.cmp(&other.key), query.keys_descend());
    by_fields.fold(Ordering::Equal, Ordering::then).then(by_key)
}

/// What a document has in a field.
fn value(document: &Json, field: Field) -> Option<Value> {
    let found = field.path.split('.').try_fold(document, |inner, name| inner.get(name))?;
    match field.kind {
        Kind::Text => found.as_str().map(|text| Value::Text(text.to_owned()).compared()),
        Kind::Integer => found.as_i64().map(Value::Integer),
        Kind::Real => found.as_f64().map(Value::Real),
        Kind::Boolean => found.as_bool().map(Value::Boolean),
    }
}

fn meets(test: &Test, value: Option<&Value>) -> bool {
    let is = |meets: fn(Ordering) -> bool, than: &Value| value.is_some_and(|value| meets(value.order(than)));
    match test {
        Test::Equal(than) => is(Ordering::is_eq, than),
        Test::NotEqual(than) => !is(Ordering::is_eq, than),
        Test::Less(than) => is(Ordering::is_lt, than),
        Test::AtMost(than) => is(Ordering::is_le, than),
        Test::Greater(than) => is(Ordering::is_gt, than),
        Test::AtLeast(than) => is(Ordering::is_ge, than),
        Test::In(all) => all.iter().any(|than| is(Ordering::is_eq, than)),
        Test::Prefix(prefix) => matches!(value, Some(Value::Text(text)) if text.starts_with(prefix.as_str())),
    }
}
