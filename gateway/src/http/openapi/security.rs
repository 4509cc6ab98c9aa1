//! How callers prove who they are, and which permission each operation needs.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::paths::problem;
use crate::http::access::{Access, Required};

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// The member of an operation with its permission.
const PERMISSION: &str = "x-permission";

/// What operations need if they say nothing else.
pub(super) fn default(access: &Access) -> Value {
    if access.is_on() { json!([{ BEARER: [] }]) } else { json!([]) }
}

pub(super) fn schemes(access: &Access) -> Value {
    if !access.is_on() {
        return json!({});
    }
    let description = "A token of a configured issuer, or an API key.";
    json!({ BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": description} })
}

/// Adds to each operation what it needs.
pub(super) fn describe(access: &Access, paths: &mut Map<String, Value>) {
    if !access.is_on() {
        return;
    }
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
            let name = match access.required(&method, path) {
                Required::Nothing => {
                    operation["security"] = json!([]);
                    continue;
                }
                Required::Rule(rule) | Required::Whole(rule) => Some(rule.to_string()),
                Required::OfEachLine => Some("commands.*".to_owned()),
                Required::Nonexistent | Required::Unknown => None,
            };
            operation[PERMISSION] = name.into();
            for status in [401, 403] {
                operation["responses"][status.to_string()] = problem(status);
            }
            if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
                parameters.retain(|parameter| parameter["$ref"] != "#/components/parameters/Dormouse-Subject");
            }
        }
    }
}
