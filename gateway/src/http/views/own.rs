//! What a caller sees of a view that may see only its own documents.

use dormouse_auth::{Denied, Section};
use dormouse_projections::{Definition, Query, Test, Value};
use serde_json::Value as Json;

use crate::http::access;
use crate::http::envelope::Arrival;
use crate::http::problem::Problem;

/// The owner of all documents that a caller may see.
pub(super) struct Owner<'a> {
    /// The field with the owner.
    path: &'static str,
    subject: &'a str,
}

impl<'a> Owner<'a> {
    /// `None`: the caller may see all documents. `query` is the name of what it asks.
    ///
    /// # Errors
    /// It may see only its own, but documents of this view belong to nobody.
    pub(super) fn of(view: &Definition, query: &str, arrival: &'a Arrival) -> Result<Option<Self>, Problem> {
        let Some(subject) = arrival.only_own() else { return Ok(None) };
        match view.owner_field() {
            Some(path) => Ok(Some(Self { path, subject })),
            None => Err(access::denied(&Denied { section: Section::Queries, name: query.to_owned() })),
        }
    }

    /// Only the documents of this owner.
    pub(super) fn filter(&self, query: Query, view: &Definition) -> Result<Query, Problem> {
        Ok(query.filter(view, self.path, Test::Equal(Value::Text(self.subject.to_owned())))?)
    }

    /// Whether a document belongs to this owner.
    pub(super) fn has(&self, document: &str) -> bool {
        let document: Json = serde_json::from_str(document).unwrap_or_default();
        let owner = self.path.split('.').try_fold(&document, |value, name| value.get(name));
        owner.and_then(Json::as_str) == Some(self.subject)
    }
}
