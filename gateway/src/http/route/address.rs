//! The addresses of routes: their fixed and named parts, and which of them collide.

use std::collections::HashMap;

use axum::http::Uri;

use super::{Route, RouteMethod};
use crate::http::Unroutable;
use crate::http::address::{decoded, segments};
use crate::http::problem::{self, Problem};

/// First parts of addresses that the server uses itself, or may use one day.
const RESERVED: [&str; 6] = ["admin", "docs", "health", "metrics", "openapi.json", "v1"];

/// The address of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct RouteAddress(&'static str);

impl RouteAddress {
    pub(super) const fn new(path: &'static str) -> Self {
        Self(path)
    }

    pub(in crate::http) const fn path(self) -> &'static str {
        self.0
    }

    fn parts(self) -> impl Iterator<Item = &'static str> + Clone {
        self.0.split('/').skip(1)
    }

    /// The names of the named parts, in order.
    pub(in crate::http) fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        self.parts().filter_map(name_of)
    }

    /// The named parts of a request to this address.
    pub(super) fn named(self, uri: &Uri) -> Result<Vec<(&'static str, String)>, Problem> {
        let mut named = Vec::new();
        for (part, segment) in self.parts().zip(segments(uri)) {
            let Some(name) = name_of(part) else { continue };
            let refused =
                |what: &str| Problem::new(&problem::INVALID_PATH, format!("{name}: it {what}")).with("parameter", name);
            named.push((name, decoded(segment).map_err(refused)?.into_owned()));
        }
        Ok(named)
    }

    /// Whether a path with these segments is such an address.
    pub(in crate::http) fn fits(self, segments: &[&str]) -> bool {
        fits(self.0, segments)
    }

    /// The address without its names: two addresses with the same form are the same one.
    fn form(self) -> String {
        self.parts().map(|part| if name_of(part).is_some() { "{}" } else { part }).collect::<Vec<_>>().join("/")
    }

    /// What is wrong with it.
    fn problem(self) -> Option<&'static str> {
        let is_plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
        };
        let is_name =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let is_part = |part: &str| name_of(part).map_or_else(|| is_plain(part), is_name);
        let mut names: Vec<_> = self.names().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        if !self.0.starts_with('/') {
            Some("it must begin with a slash")
        } else if !self.parts().all(is_part) {
            Some("each part must be plain text, or a name such as {lesson}")
        } else if names.len() < count {
            Some("two parts have the same name")
        } else {
            None
        }
    }
}

/// Whether a path with these segments is one of this form: `/lessons/{lesson}`.
pub(in crate::http) fn fits(form: &str, segments: &[&str]) -> bool {
    let mut parts = form.split('/').skip(1);
    let is_part = |part: &str, segment: &str| part == segment || name_of(part).is_some() && !segment.is_empty();
    segments.iter().all(|segment| parts.next().is_some_and(|part| is_part(part, segment))) && parts.next().is_none()
}

/// `{lesson}` → `lesson`.
fn name_of(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// Checks that routes have addresses of their own.
///
/// # Errors
/// The first route that has not.
pub(crate) fn check_routes<'r>(routes: impl Iterator<Item = &'r Route>) -> Result<(), Unroutable> {
    let mut seen: HashMap<String, (&'static str, Vec<RouteMethod>)> = HashMap::new();
    for route in routes {
        let path = route.address.path();
        if let Some(problem) = route.address.problem() {
            return Err(Unroutable::InvalidRoute { path, problem });
        }
        let first = route.address.parts().next().unwrap_or_default();
        if RESERVED.contains(&first) || name_of(first).is_some() {
            return Err(Unroutable::ReservedRoute { path, first });
        }
        let (other, methods) = seen.entry(route.address.form()).or_insert_with(|| (path, Vec::new()));
        if *other != path || methods.contains(&route.method) {
            return Err(Unroutable::SameRoute { path, other });
        }
        methods.push(route.method);
    }
    Ok(())
}
