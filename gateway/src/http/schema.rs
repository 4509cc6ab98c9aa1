//! JSON Schemas of commands and replies, as OpenAPI wants them.

use std::collections::HashSet;

use dormouse_kernel::variant_names;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A generator whose references point to definitions at this path of the document.
pub(super) fn generator(definitions_path: &'static str) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = definitions_path.into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

/// The schema of an enum, split into one schema for the fields of each variant.
#[derive(Debug)]
pub(super) struct VariantSchemas(Vec<(&'static str, Option<Value>)>);

impl VariantSchemas {
    pub(super) fn of<E: JsonSchema + DeserializeOwned>(generator: &mut SchemaGenerator) -> Self {
        let whole = E::json_schema(generator).to_value();
        let variants = variant_names::<E>().unwrap_or_default();
        Self(variants.iter().map(|variant| (*variant, fields(&whole, variant))).collect())
    }

    /// The schema of a variant. `None`: the schema of the enum does not describe it. It describes variants by their
    /// current names only, not by their aliases.
    pub(super) fn get(&self, variant: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| *name == variant).and_then(|(_, schema)| schema.as_ref())
    }

    pub(super) fn is_array(&self, variant: &str) -> bool {
        self.get(variant).is_some_and(|schema| schema["type"] == "array")
    }
}

/// Finds the fields of a variant in the schema that schemars makes of an enum: `{"oneOf": [{"properties": {variant:
/// fields}}, …]}`, or only the variant's name if it has no fields.
fn fields(whole: &Value, variant: &str) -> Option<Value> {
    let alternatives = ["oneOf", "anyOf"].iter().filter_map(|key| whole[key].as_array()).flatten();
    let mut alternatives = alternatives.chain(std::iter::once(whole));
    let described = |mut schema: Value, outer: &Value| {
        if let (Value::Object(schema), Some(description)) = (&mut schema, outer.get("description")) {
            schema.entry("description").or_insert_with(|| description.clone());
        }
        schema
    };
    alternatives.find_map(|alternative| {
        let by_name = alternative["properties"].get(variant).map(|fields| described(fields.clone(), alternative));
        by_name.or_else(|| (alternative["const"] == variant).then(|| described(without_fields(), alternative)))
    })
}

/// The schema of a variant without fields.
pub(super) fn without_fields() -> Value {
    json!({"type": "object", "additionalProperties": false})
}

/// The definitions that the schemas so far refer to, by name.
pub(super) fn definitions(generator: &mut SchemaGenerator) -> Map<String, Value> {
    generator.take_definitions(true)
}

/// Keeps the definitions that these paths refer to, directly or through others: those that only internal commands use
/// are none of a client's business.
pub(super) fn keep_referenced(paths: &Map<String, Value>, definitions: &mut Map<String, Value>) {
    let (mut referenced, mut open) = (HashSet::new(), Vec::new());
    paths.values().for_each(|path| references(path, &mut open));
    while let Some(name) = open.pop() {
        if let Some(definition) = definitions.get(&name)
            && referenced.insert(name)
        {
            references(definition, &mut open);
        }
    }
    definitions.retain(|name, _| referenced.contains(name));
}

/// Adds the names of the definitions that a part of the document refers to.
fn references(part: &Value, names: &mut Vec<String>) {
    match part {
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        Value::Object(members) => {
            let path = members.get("$ref").and_then(Value::as_str);
            names.extend(path.and_then(|path| path.rsplit('/').next()).map(str::to_owned));
            members.values().for_each(|member| references(member, names));
        }
        _ => {}
    }
}

/// Writes enumerations as `enum`, everywhere in a document. For values with descriptions of their own, schemars writes
/// `oneOf` of `const`, which client generators do not recognize. The descriptions are added to that of the whole.
pub(super) fn plain_enumerations(document: &mut Value) {
    match document {
        Value::Array(items) => items.iter_mut().for_each(plain_enumerations),
        Value::Object(members) => {
            // Examples are values, not schemas.
            members.iter_mut().filter(|(name, _)| *name != "example").for_each(|(_, inner)| plain_enumerations(inner));
            if let Some(values) = constants(members) {
                let descriptions =
                    values.iter().filter_map(|(value, text)| Some(format!("`{value}`: {}", text.as_ref()?)));
                let descriptions = members
                    .get("description")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
                    .into_iter()
                    .chain(descriptions);
                let description = descriptions.collect::<Vec<_>>().join("\n\n");
                let values: Vec<_> = values.into_iter().map(|(value, _)| value).collect();
                members.remove("oneOf");
                members.insert("type".to_owned(), "string".into());
                members.insert("enum".to_owned(), values.into());
                if !description.is_empty() {
                    members.insert("description".to_owned(), description.into());
                }
            }
        }
        _ => {}
    }
}

/// The values of an enumeration of texts, each with its description; `None` if the schema is something else.
fn constants(schema: &Map<String, Value>) -> Option<Vec<(String, Option<String>)>> {
    let alternatives = schema.get("oneOf")?.as_array()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let values = alternatives.iter().map(|alternative| {
        let described = text(&alternative["description"]);
        let listed = match alternative["enum"].as_array() {
            Some(values) => values.iter().map(text).collect::<Option<Vec<_>>>()?,
            None => vec![text(&alternative["const"])?],
        };
        Some(listed.into_iter().map(|value| (value, described.clone())).collect::<Vec<_>>())
    });
    Some(values.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The depth of examples: references and lists count as well. A type that contains itself ends there.
const EXAMPLE_DEPTH: u8 = 10;

/// The most elements of a list in an example.
const EXAMPLE_ITEMS: usize = 8;

/// A value that roughly fits a schema, as a first attempt at a command.
pub(super) fn example(schema: &Value, components: &Map<String, Value>) -> Value {
    example_to_depth(schema, components, EXAMPLE_DEPTH)
}

fn example_to_depth(schema: &Value, components: &Map<String, Value>, depth: u8) -> Value {
    let known = ["default", "const"].iter().find_map(|key| schema.get(key));
    let listed = ["examples", "enum"].iter().find_map(|key| schema[key].get(0));
    if let Some(value) = known.or(listed) {
        return value.clone();
    }
    if depth == 0 {
        return Value::Null;
    }
    let inner = |schema: &Value| example_to_depth(schema, components, depth - 1);
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return components.get(name).map_or(Value::Null, inner);
    }
    if let Some(first) = ["allOf", "oneOf", "anyOf"].iter().find_map(|key| schema[key].get(0)) {
        return inner(first);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str());
    match kind {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let fields = required.map(|name| (name.to_owned(), inner(&schema["properties"][name])));
            Value::Object(fields.collect())
        }
        Some("array") => match schema["prefixItems"].as_array() {
            Some(items) => items.iter().map(inner).collect(),
            None => {
                let fewest = schema["minItems"].as_u64().and_then(|items| usize::try_from(items).ok()).unwrap_or(1);
                vec![inner(&schema["items"]); fewest.clamp(1, EXAMPLE_ITEMS)].into()
            }
        },
        Some("string") => match schema["format"].as_str() {
            Some("uuid") => json!("00000000-0000-4000-8000-000000000000"),
            Some("date-time") => json!("2026-01-01T00:00:00Z"),
            Some("email") => json!("ada@example.org"),
            _ => json!("text"),
        },
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        _ => Value::Null,
    }
}
