//! The declared fields of the rows that were written last, so that an update names only the fields that change. SQLite
//! writes the index of every field that an update names, whether its value changes or not.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_kernel::Position;
use lru::LruCache;

use crate::key::Key;
use crate::query::Value;
use crate::store::values::Paths;
use crate::store::{BuildNumber, Row};

/// Rows of a build whose fields are remembered: some megabytes, and far more than a live batch has.
const ROWS: NonZeroUsize = NonZeroUsize::new(16_384).expect("it is not zero");

/// The number of sets of fields that get update statements of their own in one batch.
const SETS: usize = 3;

/// The most fields for which rows are remembered: a set has one bit for each field.
const FIELDS_MAX: usize = 64;

/// The values of the declared fields of a row, in their order.
pub(super) type Values = Arc<[Option<Value>]>;

/// A set of fields: one bit for each, by number.
pub(super) type FieldSet = u64;

/// What is known of the rows of all builds.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<HashMap<BuildNumber, Known>>);

/// What is known of the rows of one build. A transaction takes it out of [`Written`], so that it is lost if the
/// transaction fails.
#[derive(Debug)]
pub(super) struct Known {
    /// The position of the build. If the build is at another one, another process has written to it.
    at: Position,
    rows: LruCache<Key, Values>,
}

/// A row to write, with the values of its declared fields.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) row: Row,
    pub(super) values: Values,
}

/// The rows of a batch, by the way they are written.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// Rows that are inserted, or updated in all fields.
    pub(super) upserts: Vec<Prepared>,
    /// Rows that exist and of which only these fields change.
    pub(super) updates: Vec<(FieldSet, Vec<Prepared>)>,
}

impl Written {
    /// Takes out what is known of a build at this position.
    pub(super) fn take(&self, build: BuildNumber, at: Position) -> Known {
        let known = self.lock().remove(&build).filter(|known| known.at == at);
        known.unwrap_or_else(|| Known { at, rows: LruCache::new(ROWS) })
    }

    /// Puts back what is known of a build, which is at this position now.
    pub(super) fn keep(&self, build: BuildNumber, known: Known, at: Position) {
        self.lock().insert(build, Known { at, ..known });
    }

    /// Forgets everything, because tables may have changed.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BuildNumber, Known>> {
        // Every change is complete before its guard is dropped.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Decides how rows are written, and remembers their values. Those of a large batch are not remembered, because
    /// they would evict each other.
    pub(super) fn plan(&mut self, rows: Vec<Row>, paths: &Paths, fields: usize, is_large: bool) -> Planned {
        let mut planned = Planned::default();
        if is_large {
            self.rows.clear();
        }
        let mut by_change: BTreeMap<FieldSet, Vec<Prepared>> = BTreeMap::new();
        for row in rows {
            let values: Values = paths.values(&row.document, fields).into();
            let before = if is_large || fields > FIELDS_MAX {
                None
            } else {
                self.rows.put(row.key.clone(), Arc::clone(&values))
            };
            let prepared = Prepared { row, values };
            match before {
                Some(before) => by_change.entry(changed(&before, &prepared.values)).or_default().push(prepared),
                None => planned.upserts.push(prepared),
            }
        }
        let all_fields = FieldSet::MAX >> (FIELDS_MAX - fields.clamp(1, FIELDS_MAX));
        planned.upserts.extend(by_change.remove(&all_fields).into_iter().flatten());
        planned.updates = by_change.into_iter().collect();
        planned.updates.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
        let rare = planned.updates.split_off(planned.updates.len().min(SETS));
        planned.upserts.extend(rare.into_iter().flat_map(|(_, rows)| rows));
        planned
    }

    /// Forgets a row that was deleted.
    pub(super) fn remove(&mut self, key: &Key) {
        self.rows.pop(key);
    }
}

fn changed(before: &[Option<Value>], now: &[Option<Value>]) -> FieldSet {
    let differs = before.iter().zip(now).map(|(before, now)| FieldSet::from(before != now));
    differs.enumerate().fold(0, |set, (number, differs)| set | differs << number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    const BUILD: BuildNumber = BuildNumber(1);

    fn row(key: &str, document: &str) -> Row {
        Row { key: key.into(), document: document.to_owned(), position: Position(1) }
    }

    fn shown(planned: &Planned) -> (String, Vec<(FieldSet, String)>) {
        let keys = |rows: &[Prepared]| rows.iter().map(|prepared| prepared.row.key.as_str()).collect::<String>();
        (keys(&planned.upserts), planned.updates.iter().map(|(set, rows)| (*set, keys(rows))).collect())
    }

    #[test]
    fn an_update_names_only_the_fields_that_change_in_rows_that_exist() {
        let fields = Fields::none().integer("a").integer("b");
        let paths = Paths::of(fields.iter());
        let written = Written::default();
        let write = |from: u64, rows: &[(&str, &str)], is_large: bool| {
            let mut known = written.take(BUILD, Position(from));
            let rows = rows.iter().map(|(key, document)| row(key, document)).collect();
            let planned = known.plan(rows, &paths, 2, is_large);
            known.remove(&Key::from("gone"));
            written.keep(BUILD, known, Position(from + 1));
            shown(&planned)
        };
        let first = [("x", r#"{"a":1,"b":1}"#), ("y", r#"{"a":1,"b":1}"#), ("gone", r#"{"a":1}"#)];
        assert_eq!(write(0, &first, false), ("xygone".to_owned(), vec![]));
        let next = [("x", r#"{"a":1,"b":2}"#), ("y", r#"{"a":2,"b":2}"#), ("gone", r#"{"a":1}"#)];
        assert_eq!(write(1, &next, false), ("goney".to_owned(), vec![(0b10, "x".to_owned())]));
        // A document may change although no declared field does.
        assert_eq!(write(2, &[("x", r#"{"a":1,"b":2,"c":3}"#)], false), (String::new(), vec![(0, "x".to_owned())]));
        // Another process has moved the build.
        assert_eq!(write(4, &[("x", r#"{"a":1,"b":3}"#)], false), ("x".to_owned(), vec![]));
        assert_eq!(write(5, &[("x", r#"{"a":1,"b":4}"#)], true), ("x".to_owned(), vec![]));
        assert_eq!(write(6, &[("x", r#"{"a":1,"b":5}"#)], false), ("x".to_owned(), vec![]));
        written.forget();
        assert_eq!(write(7, &[("x", r#"{"a":1,"b":6}"#)], false), ("x".to_owned(), vec![]));
    }

    #[test]
    fn after_a_failed_transaction_nothing_is_known() {
        let fields = Fields::none().integer("a");
        let paths = Paths::of(fields.iter());
        let written = Written::default();
        let mut known = written.take(BUILD, Position(0));
        known.plan(vec![row("x", r#"{"a":1}"#)], &paths, 1, false);
        written.keep(BUILD, known, Position(1));
        drop(written.take(BUILD, Position(1)));
        let planned = written.take(BUILD, Position(1)).plan(vec![row("x", r#"{"a":1}"#)], &paths, 1, false);
        assert_eq!(shown(&planned), ("x".to_owned(), vec![]));
    }
}
