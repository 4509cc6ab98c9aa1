//! The paths of operators, with the permission that each needs: the name of its operation.

use axum::http::Method;
use serde_json::Map;

use super::paths;
use crate::http::route::fits;

/// First segments of the paths of operators.
const OF_OPERATORS: [&str; 3] = ["admin", "health", "metrics"];

/// A path of operators.
#[derive(Clone, Debug)]
pub(in crate::http) struct OperatorPath {
    pub(in crate::http) method: Method,
    form: String,
    /// The name of the permission in `permissions.admin`.
    pub(in crate::http) permission: String,
}

impl std::fmt::Display for OperatorPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.form)
    }
}

impl OperatorPath {
    /// Whether a path with these segments is of this form.
    pub(in crate::http) fn fits(&self, segments: &[&str]) -> bool {
        fits(&self.form, segments)
    }
}

/// All paths of operators, as the description has them: one that is not described cannot be reached once callers are
/// authenticated.
pub(in crate::http) fn operator_paths() -> Vec<OperatorPath> {
    let mut described = Map::new();
    paths::add_common(&mut described);
    let mut found = Vec::new();
    for (form, item) in &described {
        let is_of_operators = form.split('/').nth(1).is_some_and(|first| OF_OPERATORS.contains(&first));
        for (method, operation) in item.as_object().into_iter().flatten().filter(|_| is_of_operators) {
            let method = Method::from_bytes(method.to_uppercase().as_bytes());
            let permission = operation["operationId"].as_str();
            if let (Ok(method), Some(permission)) = (method, permission) {
                let permission = if form.starts_with("/health") { "health" } else { permission }.to_owned();
                found.push(OperatorPath { method, form: form.clone(), permission });
            }
        }
    }
    found
}
