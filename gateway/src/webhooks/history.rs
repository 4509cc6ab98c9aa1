//! The latest deliveries of a subscription, in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dormouse_kernel::{Position, Uuid};

use crate::admin::WebhookDelivery;

/// How many deliveries are kept: enough to see what a receiver does, and some tens of kilobytes for each subscription.
const KEPT: usize = 100;

/// The latest deliveries, the newest first.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<WebhookDelivery>>);

impl History {
    pub(super) fn add(&self, delivery: WebhookDelivery) {
        let mut kept = self.kept();
        kept.truncate(KEPT - 1);
        kept.push_front(delivery);
    }

    pub(super) fn all(&self) -> Vec<WebhookDelivery> {
        self.kept().iter().cloned().collect()
    }

    /// The position of an event that was delivered, or could not be.
    pub(super) fn position_of(&self, event: Uuid) -> Option<Position> {
        self.kept().iter().find(|delivery| delivery.event_id == event).map(|delivery| Position(delivery.position))
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<WebhookDelivery>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
