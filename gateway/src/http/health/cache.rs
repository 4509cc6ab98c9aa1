//! The cache of views: what it holds, and how often it could answer. Its status is always `ok`: without the cache,
//! reads go to the store of the views.

use dormouse_projections::Projections;
use serde_json::{Value, json};

use super::{Check, Status};
use crate::http::Api;

impl Api {
    pub(super) fn cache(&self) -> Check {
        let Some(stats) = self.projections.as_ref().map(|projections: &Projections| projections.cache().stats()) else {
            return Check::new(Status::Ok, [("enabled", false.into())]);
        };
        let total = stats.total;
        let asked = total.hits + total.misses;
        let hit_ratio = if asked == 0 { Value::Null } else { json!(total.hits as f64 / asked as f64) };
        Check::new(
            Status::Ok,
            [
                ("enabled", stats.options.enabled.into()),
                ("entries", total.entries.into()),
                ("bytes", total.bytes.into()),
                ("hits", total.hits.into()),
                ("misses", total.misses.into()),
                ("hit_ratio", hit_ratio),
                ("evictions", json!(total.evictions)),
            ],
        )
    }
}
