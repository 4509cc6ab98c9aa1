//! The end of a page as a cursor in an address: opaque to clients, and checked when a client sends it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dormouse_projections::{Definition, Key, Place, Query, QueryError, Value};
use serde::{Deserialize, Serialize};

use super::filters::{FILTER, SORT};
use crate::http::address::{Parameters, invalid};
use crate::http::problem::Problem;

pub(super) const CURSOR: &str = "cursor";

/// Characters of the hash that ties a cursor to its list. It protects clients from mistakes. It protects no data: a
/// filter could show the same documents.
const LIST_ID_CHARS: usize = 16;

/// The list of a cursor: a hash of view, filters and order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListId(String);

#[derive(Serialize, Deserialize)]
struct Cursor {
    /// The list's [`ListId`].
    l: String,
    /// The key of the last document.
    k: String,
    /// The values of the last document in the sort fields. They are texts, because numbers in JSON lose precision.
    v: Vec<Option<String>>,
}

impl ListId {
    pub(super) fn of(view: &Definition, parameters: &Parameters<'_>) -> Self {
        let mut filters: Vec<_> = parameters.family(FILTER).map(|(name, _, value)| (name, value)).collect();
        filters.sort_unstable();
        let list = (view.name(), filters, parameters.get(SORT).unwrap_or_default());
        let list = serde_json::to_vec(&list).expect("texts are JSON");
        Self(blake3::hash(&list).to_hex()[..LIST_ID_CHARS].to_owned())
    }

    /// The cursor of a place in this list.
    pub(super) fn cursor(&self, place: &Place) -> String {
        let values = place.values.iter().map(|value| value.as_ref().map(text)).collect();
        let cursor = Cursor { l: self.0.clone(), k: place.key.as_str().to_owned(), v: values };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).expect("texts are JSON"))
    }

    /// The query that continues after the place of a cursor.
    pub(super) fn resume(&self, query: Query, cursor: &str) -> Result<Query, Problem> {
        let refused = || invalid(CURSOR, "is not a cursor of this server: use the address in next");
        let foreign = || Problem::from(QueryError::ForeignPlace).with("parameter", CURSOR);
        let decoded = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        let Cursor { l, k, v } = serde_json::from_slice(&decoded).map_err(|_| refused())?;
        if l != self.0 || v.len() != query.sorted_by().len() {
            return Err(foreign());
        }
        let key = Key::from(k);
        if key.problem().is_some() {
            return Err(refused());
        }
        let fields = query.sorted_by().iter().map(|sort| sort.field.kind);
        let value = |(kind, text): (_, Option<String>)| match text {
            Some(text) => Value::parse(kind, &text).map(Some).ok_or_else(foreign),
            None => Ok(None),
        };
        let values = fields.zip(v).map(value).collect::<Result<_, _>>()?;
        query.after(Place { values, key }).map_err(|_| foreign())
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        // Debug writes the shortest text that parses to the same number.
        Value::Real(number) => format!("{number:?}"),
        Value::Boolean(is_so) => is_so.to_string(),
    }
}
