//! Checks of the interface of a view, for the tests of all domains.

use dormouse_projections::{Definition, Kind, Projection};
use schemars::schema_for;
use serde_json::{Value, json};

/// The name of the view, and of its queries for one document and for a list.
pub(crate) fn queries<P: Projection>() -> [String; 3] {
    let definition = Definition::of::<P>().unwrap();
    [definition.name(), definition.query_one(), definition.query_all()].map(str::to_owned)
}

/// The declared fields.
pub(crate) fn paths<P: Projection>() -> Vec<&'static str> {
    Definition::of::<P>().unwrap().fields().iter().map(|field| field.path).collect()
}

/// The document can be read from and written as this JSON, which has all properties of the schema.
#[track_caller]
pub(crate) fn is_pinned<P: Projection>(golden: &Value) {
    let document: P::Document = serde_json::from_value(golden.clone()).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), *golden);
    let schema = serde_json::to_value(schema_for!(P::Document)).unwrap();
    let names = |object: &Value| {
        let mut names: Vec<String> = object.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(golden), names(&schema["properties"]));
}

/// The document and each property have a description, and each declared field is a property of the declared kind.
#[track_caller]
pub(crate) fn is_described<P: Projection>() {
    let schema = serde_json::to_value(schema_for!(P::Document)).unwrap();
    assert!(is_text(&schema["description"]), "{}", P::NAME);
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(is_text(&property["description"]), "{}: {name}", P::NAME);
    }
    for field in P::fields().iter() {
        let property = resolved(&schema, &schema["properties"][field.path]);
        let expected = match field.kind {
            Kind::Text => "string",
            Kind::Integer => "integer",
            Kind::Real => "number",
            Kind::Boolean => "boolean",
        };
        let types = variants(&schema, property);
        let is_expected = |of: &Value| of["type"] == expected || of["type"] == json!([expected, "null"]);
        assert!(!types.is_empty() && types.into_iter().all(is_expected), "{}: {}: {property}", P::NAME, field.path);
    }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// The schema that a property refers to, or the property itself.
fn resolved<'v>(schema: &'v Value, property: &'v Value) -> &'v Value {
    let name = property["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.map_or(property, |name| &schema["$defs"][name])
}

/// The schemas of the values that a property may have, except null.
fn variants<'v>(schema: &'v Value, property: &'v Value) -> Vec<&'v Value> {
    let choices = property["oneOf"].as_array().or_else(|| property["anyOf"].as_array());
    let Some(choices) = choices else { return vec![property] };
    let not_null = choices.iter().filter(|choice| choice["type"] != "null");
    not_null.flat_map(|choice| variants(schema, resolved(schema, choice))).collect()
}
