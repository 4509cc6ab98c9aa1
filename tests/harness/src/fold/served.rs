//! What the server shows of a view.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Kept, VIEWS};
use crate::{Client, eventually};

/// Documents in one page.
const PAGE: usize = 500;

/// All documents of a view, as its lists show them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// How far the view was.
    pub at: u64,
    /// By key.
    pub documents: BTreeMap<String, Kept>,
    /// Keys that came more than once.
    pub repeated: Vec<String>,
}

impl Shown {
    /// Walks through the pages of a list. While events come in, `at` is where the view was at the last of them.
    /// `Err` is what the server said instead.
    pub fn of(client: &Client, view: &str) -> Result<Self, String> {
        let mut shown = Self::default();
        let mut next = Some(format!("/v1/views/{view}?limit={PAGE}"));
        while let Some(path) = next {
            let page = get(client, &path)?;
            next = page["next"].as_str().map(str::to_owned);
            shown.add(page).ok_or_else(|| format!("{path}: this is no page"))?;
        }
        Ok(shown)
    }

    /// Takes in one page. `None`: it is none.
    pub fn add(&mut self, mut page: Value) -> Option<()> {
        self.at = page["position"].as_u64()?;
        let Value::Array(items) = page["items"].take() else { return None };
        for mut item in items {
            let key = item["key"].as_str()?.to_owned();
            let kept = Kept { document: item["document"].take(), position: item["position"].as_u64()? };
            if self.documents.insert(key.clone(), kept).is_some() {
                self.repeated.push(key);
            }
        }
        Some(())
    }
}

/// Waits until every view has seen all events up to a position.
///
/// # Panics
/// When one has not within `bound`.
#[track_caller]
pub(super) fn wait_for_views(client: &Client, position: u64, bound: Duration) {
    for view in VIEWS {
        eventually(&format!("{view} at position {position}"), bound, || {
            get(client, &format!("/v1/views/{view}?limit=1"))
                .is_ok_and(|page| page["position"].as_u64().is_some_and(|at| at >= position))
        });
    }
}

fn get(client: &Client, path: &str) -> Result<Value, String> {
    match client.get(path) {
        Ok(answer) if answer.status == 200 => Ok(answer.json()),
        Ok(answer) => Err(format!("{path}: {answer}")),
        Err(error) => Err(format!("{path}: {error}")),
    }
}
