//! `fields=a,b.c`: selects parts of each document.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ServedView;
use crate::http::address::{Parameters, invalid};
use crate::http::commands::unknown;
use crate::http::problem::{self, Problem};

const FIELDS: &str = "fields";

/// The wanted parts of a document.
#[derive(Debug, PartialEq)]
pub(super) enum Selection {
    /// Everything below this point.
    Whole,
    /// Only the parts with these names.
    Parts(BTreeMap<String, Selection>),
}

impl Selection {
    pub(super) fn of(view: &ServedView, parameters: &Parameters<'_>) -> Result<Self, Problem> {
        let Some(fields) = parameters.get(FIELDS) else { return Ok(Self::Whole) };
        if fields.is_empty() {
            return Err(invalid(FIELDS, "names no field"));
        }
        let mut selection = Self::Parts(BTreeMap::new());
        for path in fields.split(',') {
            if !view.shape.has(path) {
                let what = format!("the documents of {} have no field {path:?}", view.definition().name());
                let paths = view.shape.paths();
                let problem = unknown(&problem::UNDECLARED_FIELD, &what, path, paths.iter().map(String::as_str));
                return Err(problem.with("parameter", FIELDS).with("declared", paths));
            }
            selection.add(path);
        }
        Ok(selection)
    }

    /// A document reduced to the wanted parts. In a list, each element is reduced.
    pub(super) fn of_document(&self, document: String) -> Result<String, Problem> {
        if *self == Self::Whole {
            return Ok(document);
        }
        let document: Value = serde_json::from_str(&document).map_err(|error| {
            Problem::new(&problem::INTERNAL, "a document of the view is not JSON").because(error.to_string())
        })?;
        Ok(self.pick(document).to_string())
    }

    fn add(&mut self, path: &str) {
        let Self::Parts(parts) = self else { return };
        match path.split_once('.') {
            None => _ = parts.insert(path.to_owned(), Self::Whole),
            Some((name, rest)) => {
                parts.entry(name.to_owned()).or_insert_with(|| Self::Parts(BTreeMap::new())).add(rest);
            }
        }
    }

    fn pick(&self, value: Value) -> Value {
        match (self, value) {
            (Self::Parts(parts), Value::Object(fields)) => {
                let picked = fields.into_iter().filter_map(|(name, value)| {
                    let part = parts.get(&name)?.pick(value);
                    Some((name, part))
                });
                Value::Object(picked.collect())
            }
            (Self::Parts(_), Value::Array(elements)) => {
                elements.into_iter().map(|element| self.pick(element)).collect()
            }
            (_, value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_reduced_to_the_wanted_parts() {
        let picked = |paths: &[&str]| {
            let mut selection = Selection::Parts(BTreeMap::new());
            paths.iter().for_each(|path| selection.add(path));
            let document = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [{"f": 4, "g": 5}, {"g": 6}], "h": null});
            serde_json::from_str::<Value>(&selection.of_document(document.to_string()).unwrap()).unwrap()
        };
        assert_eq!(picked(&["a"]), json!({"a": 1}));
        assert_eq!(picked(&["b.c", "h.i"]), json!({"b": {"c": 2}, "h": null}));
        assert_eq!(picked(&["b.c", "b"]), picked(&["b", "b.c"]));
        assert_eq!(picked(&["b", "b.c"]), json!({"b": {"c": 2, "d": 3}}));
        assert_eq!(picked(&["e.f"]), json!({"e": [{"f": 4}, {}]}));
    }
}
