//! One subscription at work: it signs events, sends them to its receiver, and judges the answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use axum::http::StatusCode;
use dormouse_journal::LogFilter;
use dormouse_kernel::{AggregateRef, CodecError, NewEvent, RecordedEvent, Timestamp};
use dormouse_messaging::{Failure, Job, Publish};
use tokio::time::Instant;

use super::Inner;
use super::client::{Answer, Client};
use super::history::History;
use super::subscription::Subscription;
use crate::admin::WebhookDelivery;
use crate::cloud_event::{self, cloud_event};

/// The most characters of a receiver's answer that are kept with a failure.
const ANSWER_CHARS: usize = 200;

/// A subscription at work.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) subscription: Subscription,
    pub(super) history: Arc<History>,
    is_disabled: AtomicBool,
    client: Arc<Client>,
    /// The attribute `source` of its events.
    source: Arc<str>,
    tries: u32,
    webhooks: Weak<Inner>,
}

/// A delivery, and what follows from it.
pub(super) struct Delivered {
    pub(super) delivery: WebhookDelivery,
    /// The receiver does not want any events any more.
    pub(super) is_gone: bool,
}

impl Webhook {
    pub(super) fn new(subscription: Subscription, history: Arc<History>, webhooks: &Arc<Inner>) -> Self {
        let Inner { client, source, tries, .. } = &**webhooks;
        Self {
            is_disabled: AtomicBool::new(subscription.disabled.is_some()),
            subscription,
            history,
            client: Arc::clone(client),
            source: Arc::clone(source),
            tries: *tries,
            webhooks: Arc::downgrade(webhooks),
        }
    }

    /// From now on, nothing is delivered.
    pub(super) fn disable(&self) {
        self.is_disabled.store(true, Ordering::Release);
    }

    /// Delivers an event once, and notes how that went.
    ///
    /// # Errors
    /// If the event has no readable metadata.
    pub(super) async fn deliver(&self, event: &RecordedEvent, attempt: u32) -> Result<Delivered, CodecError> {
        let id = event.metadata()?.event_id;
        let body = cloud_event(&self.source, id, event).to_string().into_bytes();
        let (at, began) = (Timestamp::now(), Instant::now());
        let answered = self.send(&id.to_string(), at.as_second(), body).await;
        let (status, error) = judge(answered);
        let delivery = WebhookDelivery {
            event_id: id.0,
            position: event.position.0,
            event: event.event.event_type.to_string(),
            aggregate: event.aggregate.to_string(),
            attempt,
            at,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            status: status.map(|status| status.as_u16()),
            error,
        };
        self.history.add(delivery.clone());
        Ok(Delivered { delivery, is_gone: status == Some(StatusCode::GONE) })
    }

    async fn send(&self, id: &str, timestamp: i64, body: Vec<u8>) -> Result<Answer, String> {
        let Subscription { url, secret, .. } = &self.subscription;
        let signature = secret.sign(id, timestamp, &body).map_err(|error| error.to_string())?;
        let headers = [
            (standardwebhooks::HEADER_WEBHOOK_ID, id.to_owned()),
            (standardwebhooks::HEADER_WEBHOOK_TIMESTAMP, timestamp.to_string()),
            (standardwebhooks::HEADER_WEBHOOK_SIGNATURE, signature),
        ];
        let answered = self.client.post(url, &headers, cloud_event::MEDIA_TYPE, body).await;
        answered.map_err(|error| error.to_string())
    }
}

/// The status, and what is wrong, if something is.
fn judge(answered: Result<Answer, String>) -> (Option<StatusCode>, Option<String>) {
    let Answer { status, text } = match answered {
        Ok(answer) if answer.status.is_success() => return (Some(answer.status), None),
        Ok(answer) => answer,
        Err(error) => return (None, Some(error)),
    };
    let text: String = text.trim().chars().take(ANSWER_CHARS).collect();
    let what = match status {
        StatusCode::GONE => "the receiver does not want events any more".to_owned(),
        status if status.is_redirection() => format!("the receiver redirects ({status}), which is not followed"),
        status => format!("the receiver answered {status}"),
    };
    (Some(status), Some(if text.is_empty() { what } else { format!("{what}: {text}") }))
}

/// A webhook as a publisher.
pub(super) struct Publishing(pub(super) Arc<Webhook>);

impl Publish for Publishing {
    fn wants(&self, aggregate: &AggregateRef, event: &NewEvent) -> bool {
        let is_disabled = self.0.is_disabled.load(Ordering::Acquire);
        !is_disabled && self.0.subscription.wants(aggregate, event)
    }

    fn filter(&self) -> Option<LogFilter> {
        Some(self.0.subscription.log_filter())
    }

    fn tries(&self) -> Option<u32> {
        Some(self.0.tries)
    }

    async fn publish(&self, event: &RecordedEvent, job: &Job) -> Result<(), Failure> {
        let webhook = &self.0;
        // What was read or failed before it was disabled.
        if webhook.is_disabled.load(Ordering::Acquire) {
            return Ok(());
        }
        let Delivered { delivery, is_gone } = webhook.deliver(event, job.attempt()).await?;
        if is_gone {
            let webhooks = webhook.webhooks.upgrade().ok_or_else(|| Failure::not_now("the process is stopping"))?;
            return webhooks.receiver_is_gone(webhook).await;
        }
        delivery.error.map_or(Ok(()), |error| Err(Failure::new(error)))
    }
}
