//! An entry of the log: the caller, its action, the target of the action, and the outcome.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::limits::{DETAIL_CHARS_MAX, DETAILS_MAX, TEXT_CHARS_MAX};

/// What was done. The names are stored, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// An operator's request that changes something: once before it takes effect, and once with its outcome.
    AdminAction,
    /// A token or an API key was accepted for the first time since the server knows it.
    Login,
    /// The server made a token of its own for a caller.
    TokenIssued,
    /// A caller was refused, because it did not prove who it is.
    CallerRefused,
    /// A caller may not do what it asked for.
    CallerDenied,
    /// The file of API keys was changed.
    ApiKeysChanged,
    /// The server was told to read its certificate and its keys again.
    Reloaded,
    /// The server began to serve.
    ServerStarted,
    /// The server stopped.
    ServerStopped,
    /// Noted entries were not written, because there were too many; the details have their number for each action.
    Suppressed,
    /// The last line was not complete when the log was opened, and was cut off.
    LineCut,
}

/// What came of it. The names are stored, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is about to be done. An entry without a later one of the same request: the process ended before it could tell.
    Intended,
    /// It was done.
    Done,
    /// It was tried, and failed.
    Failed,
    /// It was not allowed.
    Refused,
    /// The client went away before the answer, and nobody waited for the end.
    Unknown,
}

/// The caller that did it. Each field is empty if the server does not know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The name of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The id of its API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The issuer of its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The address that the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
}

/// Something to record. Texts that are longer than the log's limits are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What was done.
    pub action: Action,
    /// The operation of the API, by its name there: `projections.rebuild`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The caller that did it.
    pub who: Who,
    /// On what: an address, such as `/admin/projections/orders/rebuild`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What else should be known, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    /// What came of it.
    pub outcome: Outcome,
    /// The status of the HTTP response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The id of the request, as in the response and the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Entry {
    /// An entry that says nothing but this.
    #[must_use]
    pub fn new(action: Action, who: Who, outcome: Outcome) -> Self {
        Self {
            action,
            operation: None,
            who,
            target: None,
            details: BTreeMap::new(),
            outcome,
            status: None,
            request_id: None,
        }
    }

    /// The same with a detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.details.insert(name.to_owned(), value.to_string());
        self
    }

    /// The same within the limits of the log. Entries wait in memory and are read line by line, so they must be small.
    pub(crate) fn bounded(mut self) -> Self {
        let texts = [&mut self.who.subject, &mut self.who.key, &mut self.who.issuer];
        let texts = texts.into_iter().chain([&mut self.operation, &mut self.target, &mut self.request_id]);
        texts.flatten().for_each(|text| cut(text, TEXT_CHARS_MAX));
        if self.details.len() > DETAILS_MAX || self.details.keys().any(|name| name.len() > DETAIL_CHARS_MAX) {
            let fitting = self.details.into_iter().filter(|(name, _)| name.len() <= DETAIL_CHARS_MAX);
            self.details = fitting.take(DETAILS_MAX).collect();
        }
        self.details.values_mut().for_each(|value| cut(value, DETAIL_CHARS_MAX));
        self
    }
}

/// Cuts a text, and marks the cut.
fn cut(text: &mut String, chars_max: usize) {
    if let Some((at, _)) = text.char_indices().nth(chars_max) {
        text.truncate(at);
        text.push('…');
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Action {
    /// Its name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AdminAction => "admin-action",
            Self::Login => "login",
            Self::TokenIssued => "token-issued",
            Self::CallerRefused => "caller-refused",
            Self::CallerDenied => "caller-denied",
            Self::ApiKeysChanged => "api-keys-changed",
            Self::Reloaded => "reloaded",
            Self::ServerStarted => "server-started",
            Self::ServerStopped => "server-stopped",
            Self::Suppressed => "suppressed",
            Self::LineCut => "line-cut",
        }
    }
}

impl Outcome {
    /// Its name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_their_limits() {
        let long = "ä".repeat(TEXT_CHARS_MAX + 1);
        let who = Who { subject: Some(long.clone()), ..Who::default() };
        let mut entry = Entry::new(Action::Login, who, Outcome::Done).with("reason", &long).with(&long, "x");
        (0..DETAILS_MAX).for_each(|number| _ = entry.details.insert(format!("d{number:02}"), String::new()));
        entry.target = Some("x".repeat(TEXT_CHARS_MAX));
        let bounded = entry.bounded();
        assert_eq!(bounded.who.subject.unwrap(), format!("{}…", "ä".repeat(TEXT_CHARS_MAX)));
        assert_eq!(bounded.target.unwrap().len(), TEXT_CHARS_MAX);
        assert_eq!(bounded.details.len(), DETAILS_MAX);
        assert!(bounded.details.values().all(|value| value.chars().count() <= DETAIL_CHARS_MAX + 1));
    }

    #[test]
    fn names_are_those_that_are_stored() {
        for action in [
            Action::AdminAction,
            Action::Login,
            Action::TokenIssued,
            Action::CallerRefused,
            Action::CallerDenied,
            Action::ApiKeysChanged,
            Action::Reloaded,
            Action::ServerStarted,
            Action::ServerStopped,
            Action::Suppressed,
            Action::LineCut,
        ] {
            assert_eq!(serde_json::to_string(&action).unwrap(), format!("\"{action}\""));
        }
        for outcome in [Outcome::Intended, Outcome::Done, Outcome::Failed, Outcome::Refused, Outcome::Unknown] {
            assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("\"{}\"", outcome.name()));
        }
    }
}
