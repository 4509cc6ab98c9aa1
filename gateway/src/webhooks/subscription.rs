//! Subscriptions: which events a receiver gets, and how they are stored.

use dormouse_journal::LogFilter;
use dormouse_kernel::{AggregateRef, NewEvent, Timestamp, Uuid};
use dormouse_messaging::Begin;
use serde::{Deserialize, Serialize};

use super::WebhookError;
use super::receiver::Receiver;
use super::secret::Secret;
use crate::admin::{NewWebhook, Webhook as Document, WebhookBegin, WebhookChange, WebhookFilter};

/// What the names of the stored subscriptions, and of their consumers, begin with.
pub(super) const PREFIX: &str = "webhook/";

/// The most names in a filter.
const NAMES_MAX: usize = 100;

/// The most bytes of a description, and of a name in a filter.
const TEXT_MAX: usize = 1000;

/// A subscription, as it is stored: JSON, under its [name](Self::name).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subscription {
    pub(super) id: Uuid,
    pub(super) url: Receiver,
    pub(super) filter: WebhookFilter,
    pub(super) secret: Secret,
    pub(super) description: String,
    /// Where it begins when it runs for the first time.
    pub(super) from: WebhookBegin,
    /// Why it gets nothing. `None`: it is enabled.
    pub(super) disabled: Option<String>,
    pub(super) created_at: Timestamp,
}

impl Subscription {
    /// A new subscription, as an operator asks for it.
    pub(super) fn new(asked: NewWebhook) -> Result<Self, WebhookError> {
        let NewWebhook { url, filter, secret, description, from } = asked;
        let secret = match secret {
            Some(secret) => parsed_secret(secret)?,
            None => Secret::new().ok_or(WebhookError::NoRandomness)?,
        };
        let created = Self {
            id: Uuid::now_v7(),
            url: parsed_url(url)?,
            filter,
            secret,
            description,
            from,
            disabled: None,
            created_at: Timestamp::now(),
        };
        created.checked()
    }

    /// This subscription with what an operator changes.
    pub(super) fn changed(mut self, change: WebhookChange) -> Result<Self, WebhookError> {
        let WebhookChange { url, filter, secret, description, state } = change;
        if let Some(url) = url {
            self.url = parsed_url(url)?;
        }
        if let Some(secret) = secret {
            self.secret = parsed_secret(secret)?;
        }
        self.filter = filter.unwrap_or(self.filter);
        self.description = description.unwrap_or(self.description);
        match state.as_deref() {
            None => {}
            Some("enabled") => self.disabled = None,
            Some("disabled") => {
                self.disabled.get_or_insert_with(|| "an operator has disabled it".to_owned());
            }
            Some(_) => return Err(invalid("state", "is neither \"enabled\" nor \"disabled\"")),
        }
        self.checked()
    }

    fn checked(self) -> Result<Self, WebhookError> {
        let WebhookFilter { types, events } = &self.filter;
        for (field, names) in [("filter.types", types), ("filter.events", events)] {
            if names.len() > NAMES_MAX {
                return Err(invalid(field, "has more than 100 names"));
            }
            if names.iter().any(|name| name.is_empty() || name.len() > TEXT_MAX) {
                return Err(invalid(field, "has a name that is empty or too long"));
            }
        }
        if self.description.len() > TEXT_MAX {
            return Err(invalid("description", "is longer than 1000 bytes"));
        }
        Ok(self)
    }

    /// The name of its consumer and of its setting.
    pub(super) fn name(&self) -> String {
        name(self.id)
    }

    pub(super) fn begin(&self) -> Begin {
        match self.from {
            WebhookBegin::Now => Begin::Now,
            WebhookBegin::Beginning => Begin::Beginning,
        }
    }

    /// Which events it wants, by the names under which they are stored.
    pub(super) fn log_filter(&self) -> LogFilter {
        let WebhookFilter { types, events } = self.filter.clone();
        LogFilter { types, events }
    }

    pub(super) fn wants(&self, aggregate: &AggregateRef, event: &NewEvent) -> bool {
        let WebhookFilter { types, events } = &self.filter;
        let is_in = |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        is_in(types, aggregate.aggregate_type.as_str()) && is_in(events, &event.event_type)
    }

    /// What operators see of it. The secret is left out.
    pub(super) fn document(&self) -> Document {
        Document {
            id: self.id,
            url: self.url.to_string(),
            filter: self.filter.clone(),
            description: self.description.clone(),
            state: if self.disabled.is_some() { "disabled" } else { "enabled" }.to_owned(),
            reason: self.disabled.clone(),
            created_at: self.created_at,
            secret: None,
        }
    }
}

pub(super) fn name(id: Uuid) -> String {
    format!("{PREFIX}{id}")
}

pub(super) fn invalid(field: &'static str, what: impl Into<String>) -> WebhookError {
    WebhookError::Invalid { field, what: what.into() }
}

fn parsed_url(url: String) -> Result<Receiver, WebhookError> {
    Receiver::try_from(url).map_err(|error| invalid("url", error.to_string()))
}

fn parsed_secret(secret: String) -> Result<Secret, WebhookError> {
    Secret::try_from(secret).map_err(|error| invalid("secret", error.to_string()))
}
