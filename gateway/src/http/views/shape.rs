//! The paths that the documents of a view can have, according to their JSON Schema.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The most names in a path that is listed. Documents may be deeper, but such paths do not help in a message.
const LISTED_DEPTH: usize = 3;

/// The most schemas (references, alternatives) that are followed in the search for one name. A type may contain itself,
/// so there must be a limit.
const STEPS: u8 = 32;

/// The JSON Schema of a view's documents.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Shape(Value);

impl Shape {
    pub(in crate::http) fn of<D: JsonSchema>() -> Self {
        Self(SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<D>().to_value())
    }

    /// Whether a document may have a value at this path. A path passes through lists as if they were single elements.
    pub(super) fn has(&self, path: &str) -> bool {
        self.leads(&self.0, path.split('.').collect::<Vec<_>>().as_slice(), STEPS)
    }

    /// The paths of the documents, up to a depth that helps in a message.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect(&self.0, "", LISTED_DEPTH, STEPS, &mut paths);
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    fn leads(&self, schema: &Value, path: &[&str], steps: u8) -> bool {
        let Some((name, rest)) = path.split_first() else { return true };
        let Some(steps) = steps.checked_sub(1) else { return false };
        if is_anything(schema) {
            return true;
        }
        let into = |schema: &Value| self.leads(schema, rest, STEPS);
        let by_name = schema["properties"].get(*name).is_some_and(into);
        // A map accepts any name.
        let by_any = schema.get("additionalProperties").is_some_and(|any| *any != Value::Bool(false) && into(any));
        by_name || by_any || self.seen_through(schema).any(|inner| self.leads(inner, path, steps))
    }

    fn collect(&self, schema: &Value, before: &str, depth: usize, steps: u8, paths: &mut Vec<String>) {
        let Some(steps) = steps.checked_sub(1) else { return };
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
            if depth > 1 {
                self.collect(inner, &path, depth - 1, STEPS, paths);
            }
            paths.push(path);
        }
        for inner in self.seen_through(schema) {
            self.collect(inner, before, depth, steps, paths);
        }
    }

    /// The schemas that describe the same value, or the elements of a list.
    fn seen_through<'s>(&'s self, schema: &'s Value) -> impl Iterator<Item = &'s Value> {
        let referenced = schema["$ref"].as_str().and_then(|path| self.0.pointer(path.strip_prefix('#')?));
        let alternatives = ["allOf", "anyOf", "oneOf", "prefixItems"].into_iter();
        let alternatives = alternatives.filter_map(|name| schema[name].as_array()).flatten();
        referenced.into_iter().chain(alternatives).chain(schema.get("items"))
    }
}

/// Whether a schema accepts any value.
fn is_anything(schema: &Value) -> bool {
    match schema {
        Value::Bool(is_anything) => *is_anything,
        Value::Object(schema) => schema.keys().all(|key| matches!(key.as_str(), "description" | "title" | "default")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Order {
        status: Option<String>,
        customer: Customer,
        lines: Vec<Line>,
        totals: BTreeMap<String, u64>,
        parent: Option<Box<Order>>,
        note: Value,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Customer {
        email: String,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Line {
        sku: String,
    }

    #[test]
    fn a_path_passes_through_objects_lists_maps_and_options() {
        let shape = Shape::of::<Order>();
        for path in ["status", "customer", "customer.email", "lines.sku", "totals.any", "note.at.all", "parent"] {
            assert!(shape.has(path), "{path}");
        }
        assert!(shape.has("parent.parent.parent.customer.email"));
        for path in ["", "statsu", "status.x", "customer.name", "lines.0", "totals.any.more", "customer."] {
            assert!(!shape.has(path), "{path}");
        }
    }

    #[test]
    fn paths_are_listed_to_some_depth() {
        let paths = Shape::of::<Customer>().paths();
        assert_eq!(paths, ["email"]);
        let paths = Shape::of::<Order>().paths();
        assert!(paths.contains(&"lines.sku".to_owned()) && paths.contains(&"parent.parent.status".to_owned()));
        assert!(!paths.iter().any(|path| path.matches('.').count() >= LISTED_DEPTH), "{paths:?}");
    }
}
