//! A running consumer, as operators reach it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use dormouse_kernel::Position;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{ConsumerInfo, ConsumerKind};
use crate::consumer::{Consumer, ConsumerStatus, ConsumerTask, Request, Shared, Stop};
use crate::consumer_name::ConsumerName;
use crate::limits::REQUESTS;
use crate::store::{JobCounts, Switch};

/// What is known of a running consumer.
pub(super) struct Running {
    pub(super) name: ConsumerName,
    pub(super) kind: ConsumerKind,
    pub(super) queue: &'static str,
    pub(super) sources: Vec<&'static str>,
    pub(super) requests: mpsc::Sender<Request>,
    switches: Mutex<Switches>,
    switch: watch::Sender<Switch>,
    stop: watch::Sender<Option<Stop>>,
    status: watch::Receiver<ConsumerStatus>,
    /// The position of a consumer whose log is read by another task.
    position: Option<watch::Receiver<Position>>,
}

/// What operators see of a consumer that is about to start.
pub(super) struct Described {
    pub(super) kind: ConsumerKind,
    pub(super) queue: &'static str,
    pub(super) sources: Vec<&'static str>,
    pub(super) switches: Switches,
    /// The position of a consumer whose log is read by another task.
    pub(super) position: Option<watch::Receiver<Position>>,
}

/// Who has switched a consumer. It runs only if nobody has switched it off.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Switches {
    pub(super) configured: Switch,
    pub(super) operators: Switch,
}

impl Switches {
    const fn effective(self) -> Switch {
        let Self { configured, operators } = self;
        Switch { paused: configured.paused || operators.paused, disabled: configured.disabled || operators.disabled }
    }
}

impl Running {
    /// Starts the task of a consumer.
    pub(super) fn start(consumer: Consumer, described: Described, shared: &Shared, tasks: &mut JoinSet<()>) -> Self {
        let Described { kind, queue, sources, switches, position } = described;
        let name = consumer.name.clone();
        let (switch, switched) = watch::channel(switches.effective());
        let (requests, requested) = mpsc::channel(REQUESTS);
        let (reported, status) = watch::channel(ConsumerStatus::starting());
        let stop = watch::Sender::new(None);
        let task = ConsumerTask {
            consumer,
            shared: shared.clone(),
            requests: requested,
            switch: switched,
            stop: stop.subscribe(),
            status: reported,
        };
        tasks.spawn(task.run());
        Self { name, kind, queue, sources, requests, switches: Mutex::new(switches), switch, stop, status, position }
    }

    /// What the task follows when it is switched.
    pub(super) fn switch(&self) -> watch::Receiver<Switch> {
        self.switch.subscribe()
    }

    pub(super) fn stop(&self, stop: Stop) {
        self.stop.send_replace(Some(stop));
    }

    /// Waits until the task has ended.
    pub(super) async fn ended(&self) {
        let mut status = self.status.clone();
        // The task has the sender.
        while status.changed().await.is_ok() {}
    }

    pub(super) fn set_switches(&self, change: impl FnOnce(&mut Switches)) -> Switch {
        let mut switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut switches);
        let effective = switches.effective();
        self.switch.send_if_modified(|switch| std::mem::replace(switch, effective) != effective);
        effective
    }

    pub(super) fn info(&self, counts: &HashMap<ConsumerName, JobCounts>, head: Position) -> ConsumerInfo {
        let ConsumerStatus { state, position, ready, running, breaker } = self.status.borrow().clone();
        let position = self.position.as_ref().map_or(position, |position| *position.borrow());
        ConsumerInfo {
            name: self.name.clone(),
            kind: self.kind,
            queue: self.queue,
            sources: self.sources.clone(),
            state,
            position,
            lag: head.0.saturating_sub(position.0),
            ready,
            running,
            breaker,
            jobs: counts.get(&self.name).copied().unwrap_or_default(),
        }
    }
}
