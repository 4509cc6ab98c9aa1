//! What a change is about, as its body says it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

/// Members of bodies that entries show. Others may be secrets: those of webhooks, or addresses with passwords.
const SHOWN: [&str; 10] =
    ["after", "aggregate", "dry_run", "from", "id", "position", "start_over", "state", "to", "views"];

/// Details that a handler adds to the entry with the outcome of its request. It is an extension of requests that change
/// something.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Details(Arc<Mutex<BTreeMap<String, String>>>);

impl Details {
    pub(in crate::http) fn add(&self, name: &str, value: impl Display) {
        let mut details = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        details.insert(name.to_owned(), value.to_string());
    }

    /// Adds the members of a body that are no secrets.
    pub(in crate::http) fn add_body(&self, body: &[u8]) {
        let Ok(members) = serde_json::from_slice::<Map<String, Value>>(body) else { return };
        for (name, value) in members.into_iter().filter(|(name, _)| SHOWN.contains(&name.as_str())) {
            match value {
                Value::String(text) => self.add(&name, text),
                value => self.add(&name, value),
            }
        }
    }

    pub(super) fn take(&self) -> BTreeMap<String, String> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_may_be_secrets_are_left_out() {
        let details = Details::default();
        details.add_body(br#"{"to": 7, "views": ["a"], "id": "x", "secret": "s", "url": "https://a:b@c/"}"#);
        details.add_body(b"no JSON");
        details.add_body(b"[1]");
        let expected = [("id", "x"), ("to", "7"), ("views", r#"["a"]"#)];
        assert_eq!(details.take(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
