//! Which documents match a query, and how they are sorted. The other stores do the same in SQL.

use std::cmp::Ordering;

use crate::fields::Field;
use crate::query::{Place, Query, Test, Value};
use crate::store::Row;
use crate::store::values::Paths;

/// The fields that a query reads in each document.
pub(super) struct ReadFields {
    fields: Vec<Field>,
    paths: Paths,
}

impl ReadFields {
    pub(super) fn of(query: &Query) -> Self {
        let filtered = query.filters().iter().map(|filter| filter.field);
        let mut fields: Vec<Field> = Vec::new();
        for field in filtered.chain(query.sorted_by().iter().map(|sort| sort.field)) {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        Self { paths: Paths::of(fields.iter()), fields }
    }

    /// The place of a document in the list, if it matches all filters.
    pub(super) fn place(&self, query: &Query, row: &Row) -> Option<Place> {
        let found = self.paths.values(&row.document, self.fields.len());
        let value = |field: Field| {
            let number = self.fields.iter().position(|known| *known == field)?;
            found[number].as_ref()
        };
        let meets_all = query.filters().iter().all(|filter| meets(&filter.test, value(filter.field)));
        let values = || query.sorted_by().iter().map(|sort| value(sort.field).cloned()).collect();
        meets_all.then(|| Place { values: values(), key: row.key.clone() })
    }
}

/// The order of two places in a list.
pub(super) fn order(query: &Query, one: &Place, other: &Place) -> Ordering {
    let directed = |order: Ordering, is_descending| if is_descending { order.reverse() } else { order };
    let by_fields = query.sorted_by().iter().zip(one.values.iter().zip(&other.values)).map(|(sort, (one, other))| {
        let order = match (one, other) {
            (Some(one), Some(other)) => one.order(other),
            // A missing value comes before every other.
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        directed(order, sort.is_descending)
    });
    let by_key = directed(one.key.cmp(&other.key), query.keys_descend());
    by_fields.fold(Ordering::Equal, Ordering::then).then(by_key)
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
