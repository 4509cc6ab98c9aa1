//! The content of a view as the server returns it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{VIEWS, ViewDocument};
use crate::{Client, eventually};

/// Documents in one page.
const PAGE: usize = 500;

/// All documents of a view, as its lists return them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedView {
    /// The position of the view.
    pub at: u64,
    /// By key.
    pub documents: BTreeMap<String, ViewDocument>,
    /// Keys that appeared more than once.
    pub repeated: Vec<String>,
}

impl ServedView {
    /// Reads all pages of a list. If events arrive meanwhile, `at` is the view's position at the last page. `Err`
    /// describes the unexpected answer.
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

    /// Adds one page. `None` means that the value is not a page.
    pub fn add(&mut self, mut page: Value) -> Option<()> {
        self.at = page["position"].as_u64()?;
        let Value::Array(items) = page["items"].take() else { return None };
        for mut item in items {
            let key = item["key"].as_str()?.to_owned();
            let kept = ViewDocument { document: item["document"].take(), position: item["position"].as_u64()? };
            if self.documents.insert(key.clone(), kept).is_some() {
                self.repeated.push(key);
            }
        }
        Some(())
    }
}

/// Waits until every view has processed all events up to a position. A view may take as long as it moves on: with single
/// events in a batch, a long log takes minutes.
///
/// # Panics
/// When one has not moved for `bound`.
#[track_caller]
pub(super) fn wait_for_views(client: &Client, position: u64, bound: Duration) {
    let at = |view: &str| get(client, &format!("/v1/views/{view}?limit=1")).ok()?["position"].as_u64();
    for view in VIEWS {
        let mut seen = 0;
        while seen < position {
            let what = format!("progress of {view} from {seen} to {position}");
            seen = eventually(&what, bound, || at(view).filter(|at| *at > seen));
        }
    }
}

fn get(client: &Client, path: &str) -> Result<Value, String> {
    match client.get(path) {
        Ok(answer) if answer.status == 200 => Ok(answer.json()),
        Ok(answer) => Err(format!("{path}: {answer}")),
        Err(error) => Err(format!("{path}: {error}")),
    }
}
