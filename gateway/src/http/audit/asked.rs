//! Who asks for what.

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use dormouse_audit::{Action, Entry, Outcome, Who};
use dormouse_auth::{Caller, Rights};

use crate::http::envelope::Arrival;

/// A request, as far as entries show it. Cheap to make: its texts are shared with the request.
#[derive(Clone, Debug)]
pub(in crate::http) struct Asked {
    method: Method,
    uri: Uri,
    arrival: Arrival,
}

impl Asked {
    pub(in crate::http) fn of(request: &Parts, arrival: &Arrival) -> Self {
        let (method, uri) = (request.method.clone(), request.uri.clone());
        Self { method, uri, arrival: arrival.clone() }
    }

    /// A request that a handler has got.
    pub(in crate::http) fn in_request(request: &Request) -> Option<Self> {
        let arrival = request.extensions().get::<Arrival>()?.clone();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Some(Self { method, uri, arrival })
    }

    pub(in crate::http) fn caller(&self) -> Option<&Caller> {
        self.arrival.admitted.as_ref().map(|admitted| &*admitted.caller)
    }

    pub(in crate::http) fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    pub(in crate::http) fn request_id(&self) -> &str {
        self.arrival.request_id()
    }

    /// An entry that says what was asked for. It has no query: clients put secrets there.
    pub(in crate::http) fn entry(&self, action: Action, caller: Option<&Caller>, outcome: Outcome) -> Entry {
        self.entry_on(self.uri.path(), action, caller, outcome)
    }

    /// An entry of a change by an operator, with the query: it says what is changed.
    pub(in crate::http) fn entry_with_query(&self, action: Action, outcome: Outcome) -> Entry {
        let target = self.uri.path_and_query().map_or(self.uri.path(), |target| target.as_str());
        self.entry_on(target, action, self.caller(), outcome)
    }

    fn entry_on(&self, target: &str, action: Action, caller: Option<&Caller>, outcome: Outcome) -> Entry {
        let who = Who {
            subject: caller.map(|caller| caller.subject.clone()),
            key: caller.and_then(|caller| match &caller.rights {
                Rights::Roles(_) => None,
                Rights::Grants { key, .. } => Some(key.clone()),
            }),
            issuer: caller.and_then(|caller| caller.issuer.as_deref().map(str::to_owned)),
            peer: Some(self.arrival.client),
        };
        let target = Some(format!("{} {target}", self.method));
        let request_id = Some(self.request_id().to_owned());
        Entry { target, request_id, ..Entry::new(action, who, outcome) }
    }
}
