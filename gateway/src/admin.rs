//! The JSON documents of the admin API, shared by the server (`http`) and the command line (`cli`).

mod messaging;

use dormouse_audit::StoredEntry;
use dormouse_auth::{Role, Rule};
use dormouse_kernel::{Timestamp, Uuid};
use dormouse_messaging::ConsumerInfo;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use messaging::{
    Breaker, FailedAttempt, FailedJob, FailedPage, JobNumbers, Listener, Listeners, Queue, Queues, Released, Timer,
    TimerPage,
};

/// All projections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Overview {
    /// The last event of the log.
    pub(crate) head: u64,
    pub(crate) projections: Vec<Projection>,
    /// Views whose projections were removed from the application. `None`: the store of the views does not answer.
    pub(crate) orphans: Option<Vec<String>>,
}

/// The position and state of a projection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Projection {
    pub(crate) name: String,
    pub(crate) state: String,
    /// What is wrong, if something is.
    pub(crate) reason: Option<String>,
    /// The number of the build that is served, and the version of the code that built it.
    pub(crate) build: Option<u64>,
    pub(crate) version: Option<u32>,
    /// The last event that the view contains, and the number of later events.
    pub(crate) position: u64,
    pub(crate) lag: u64,
    /// The view was reset to this position: it lacks the events up to there, and documents that depend on them are
    /// wrong. Zero: it has all events.
    #[serde(default)]
    pub(crate) begun_after: u64,
    /// The number of aggregates with parked events.
    pub(crate) parked: usize,
    /// The build that is in progress beside the one that is served.
    pub(crate) rebuild: Option<Rebuild>,
}

/// The progress of a rebuild.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rebuild {
    pub(crate) build: u64,
    pub(crate) version: u32,
    pub(crate) state: String,
    /// What is wrong, if something is.
    pub(crate) reason: Option<String>,
    pub(crate) started_at: Timestamp,
    /// The last event that the new build contains, and the number of later events.
    pub(crate) position: u64,
    pub(crate) lag: u64,
    pub(crate) events_per_second: f64,
    /// Time until the build is served. `None` while the rate is unknown.
    pub(crate) seconds_left: Option<f64>,
}

/// A page of parked events, which their view does not contain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ParkedPage {
    pub(crate) parked: Vec<ParkedEvent>,
    /// The address of the next page.
    pub(crate) next: Option<String>,
}

/// A parked event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ParkedEvent {
    /// The type and the id of its aggregate.
    pub(crate) aggregate: String,
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) position: u64,
    /// Why it cannot be projected. `None`: it waits for an earlier event of its aggregate.
    pub(crate) reason: Option<String>,
    pub(crate) attempts: u32,
    /// The event itself, if the request names an aggregate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Value>,
}

/// A page of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AuditPage {
    pub(crate) entries: Vec<StoredEntry>,
    /// The address of the next page.
    pub(crate) next: Option<String>,
}

/// The last entry of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AuditHead {
    /// Its number and its hash: `SEQ:HEX`.
    pub(crate) head: String,
    pub(crate) sequence: u64,
}

/// The event types of an application.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Catalogue {
    pub(crate) events: Vec<CatalogueEvent>,
    /// The schemas to which those of the events refer as `#/definitions/NAME`.
    pub(crate) definitions: Map<String, Value>,
}

/// An event type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CatalogueEvent {
    /// The aggregate type.
    pub(crate) aggregate: String,
    /// The name that the event has now.
    pub(crate) event: String,
    /// The schema version with which it is written now.
    pub(crate) schema_version: u32,
    /// The names that it had before. Stored events may have them.
    pub(crate) former_names: Vec<String>,
    /// The JSON Schema of its fields.
    pub(crate) schema: Value,
    pub(crate) consumers: Vec<Consumer>,
}

/// A part of the application that reads events of a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Consumer {
    /// `projection`, `reactor` or `handler`.
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl Consumer {
    pub(crate) fn projection(name: &str) -> Self {
        Self { kind: "projection".to_owned(), name: name.to_owned() }
    }

    pub(crate) fn listener(info: &ConsumerInfo) -> Self {
        Self { kind: info.kind.name().to_owned(), name: info.name.to_string() }
    }
}

/// An aggregate type, with the number of its aggregates that have snapshots.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshottedType {
    pub(crate) aggregate: String,
    pub(crate) aggregates: u64,
}

/// The result of checking the snapshots of some aggregates.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct VerifiedSnapshots {
    /// Aggregates that were checked.
    pub(crate) aggregates: u64,
    /// Snapshots that were compared with the states of their events.
    pub(crate) snapshots: u64,
    /// Snapshots of another shape or version, which are not used.
    pub(crate) unused: u64,
    pub(crate) differing: Vec<DifferingSnapshots>,
    /// The aggregate after which the next page begins. `None`: this was the last page.
    pub(crate) next: Option<String>,
}

/// The snapshots of one aggregate that differ from its events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DifferingSnapshots {
    pub(crate) id: String,
    pub(crate) versions: Vec<u64>,
}

/// All webhooks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WebhookList {
    pub(crate) webhooks: Vec<Webhook>,
}

/// A webhook: a receiver of events, and which events it gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Webhook {
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) filter: WebhookFilter,
    pub(crate) description: String,
    /// `enabled` or `disabled`.
    pub(crate) state: String,
    /// Why it is disabled.
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Timestamp,
    /// Only in the answer to its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

/// Which events a webhook gets, by the names under which they are stored. Empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookFilter {
    #[serde(default)]
    pub(crate) types: Vec<String>,
    #[serde(default)]
    pub(crate) events: Vec<String>,
}

/// A webhook that is to be added.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) filter: WebhookFilter,
    /// `None`: the server makes one.
    #[serde(default)]
    pub(crate) secret: Option<String>,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) from: WebhookBegin,
}

/// Where a webhook begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WebhookBegin {
    /// With the events after its creation.
    #[default]
    Now,
    /// With the first event of the log.
    Beginning,
}

/// What is to be changed of a webhook. What is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebhookChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<WebhookFilter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
}

/// The latest deliveries of a webhook, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WebhookDeliveries {
    pub(crate) deliveries: Vec<WebhookDelivery>,
}

/// An attempt to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WebhookDelivery {
    pub(crate) event_id: Uuid,
    pub(crate) position: u64,
    /// The name of the event.
    pub(crate) event: String,
    /// Its aggregate: `type/id`.
    pub(crate) aggregate: String,
    pub(crate) attempt: u32,
    pub(crate) at: Timestamp,
    pub(crate) duration_ms: u64,
    /// The status of the receiver's answer. `None`: it did not answer.
    pub(crate) status: Option<u16>,
    /// Why it has failed. `None`: it was delivered.
    pub(crate) error: Option<String>,
}

/// The document of `/admin/permissions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Permissions {
    /// Whether callers are authenticated. If not, everybody may do everything.
    pub(crate) authenticated: bool,
    pub(crate) permissions: Vec<Permission>,
}

/// A permission, and who has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Permission {
    /// `commands`, `queries` or `admin`.
    pub(crate) section: String,
    pub(crate) name: String,
    /// Its roles, as the configuration has them. Without any, nobody may.
    pub(crate) roles: Vec<String>,
}

impl Permission {
    pub(crate) fn of(rule: &Rule) -> Self {
        let roles = rule.roles().iter().map(Role::to_string).collect();
        Self { section: rule.section().name().to_owned(), name: rule.name().to_owned(), roles }
    }
}
