//! The worker of a projection: it takes batch after batch from the feed until it is told to stop.
//!
//! One message is one batch, and each sends the next, so there is never more than one in the mailbox. While it waits for
//! events it listens to being stopped; while it projects and commits it does not.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_journal::{Feed, ReadError};
use dormouse_kernel::RecordedEvent;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorRuntime};
use tokio::sync::watch;
use tracing::warn;

use crate::progress::{Progress, State};
use crate::projection::Projection;
use crate::projector::{Projector, Run, Trouble};

pub(crate) struct Worker<P>(PhantomData<fn() -> P>);

/// Take the next batch.
pub(crate) struct Next;

pub(crate) struct Work<P: Projection> {
    projector: Arc<Projector<P>>,
    stop: watch::Receiver<bool>,
    /// `None`: where the view is must be found out.
    run: Option<Run<P>>,
    /// What the run has read ahead.
    ahead: Vec<RecordedEvent>,
    /// Attempts in a row that met with passing trouble.
    attempts: u32,
}

enum Went {
    On,
    /// It was told to stop.
    Away,
}

impl<P: Projection> Actor for Worker<P> {
    type Msg = Next;
    type State = Work<P>;
    type Arguments = Work<P>;

    async fn pre_start(&self, myself: ActorRef<Next>, work: Work<P>) -> Result<Work<P>, ActorProcessingErr> {
        myself.send_message(Next)?;
        Ok(work)
    }

    async fn handle(&self, myself: ActorRef<Next>, _: Next, work: &mut Work<P>) -> Result<(), ActorProcessingErr> {
        let went = match work.step().await {
            Err(Trouble::Passing(reason)) => work.pause(reason).await,
            Err(trouble @ Trouble::Lasting(_)) => return Err(trouble.into()),
            Ok(went) => went,
        };
        match went {
            Went::On => myself.send_message(Next)?,
            Went::Away => myself.stop(None),
        }
        Ok(())
    }
}

impl<P: Projection> Work<P> {
    async fn step(&mut self) -> Result<Went, Trouble> {
        // Taken: what is left of it after an error, or a panic, must not be used.
        let (run, ahead) = (self.run.take(), std::mem::take(&mut self.ahead));
        let (mut run, ahead) = match run {
            Some(run) => (run, ahead),
            None => (self.projector.resume().await?, Vec::new()),
        };
        let limit = self.projector.options.batch_events.get();
        let events = tokio::select! {
            biased;
            () = stopped(&mut self.stop) => return Ok(Went::Away),
            events = next(&mut run.feed, ahead, limit) => events?,
        };
        // A full batch: it is behind, and the next one can be read meanwhile. One that is live would only get less.
        let is_behind = events.len() >= limit;
        let Run { feed, view } = &mut run;
        let reading_ahead = async { if is_behind { feed.ready(limit).await } else { Ok(Vec::new()) } };
        let (advanced, ahead) = tokio::join!(self.projector.advance(view, events), reading_ahead);
        advanced?;
        self.ahead = ahead?;
        self.run = Some(run);
        self.attempts = 0;
        Ok(Went::On)
    }

    /// Waits before the next attempt, longer each time.
    async fn pause(&mut self, reason: String) -> Went {
        let limits = self.projector.options.limits();
        let pause = limits.backoff_min.saturating_mul(1 << self.attempts.min(20)).min(limits.backoff_max);
        self.attempts += 1;
        let view = self.projector.definition.name();
        warn!(view, reason, attempts = self.attempts, ?pause, "cannot project, trying again");
        self.projector.set_state(State::Retrying(reason));
        tokio::select! {
            () = stopped(&mut self.stop) => Went::Away,
            () = tokio::time::sleep(pause) => Went::On,
        }
    }
}

/// What was read ahead, or else what comes.
async fn next(feed: &mut Feed, ahead: Vec<RecordedEvent>, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
    if ahead.is_empty() { feed.next(limit).await } else { Ok(ahead) }
}

/// Returns when everything stops, also because nobody holds a handle any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _told = stop.wait_for(|stop| *stop).await.is_ok();
}

/// A projection, whatever its documents.
#[async_trait]
pub(crate) trait AnyProjector: Send + Sync {
    /// Starts a worker.
    async fn start(
        self: Arc<Self>,
        stop: watch::Receiver<bool>,
        supervisor: ActorCell,
    ) -> Result<ActorId, ActorProcessingErr>;

    fn progress(&self) -> watch::Receiver<Progress>;

    fn set_state(&self, state: State);
}

#[async_trait]
impl<P: Projection> AnyProjector for Projector<P> {
    async fn start(
        self: Arc<Self>,
        stop: watch::Receiver<bool>,
        supervisor: ActorCell,
    ) -> Result<ActorId, ActorProcessingErr> {
        let work = Work { projector: self, stop, run: None, ahead: Vec::new(), attempts: 0 };
        let (worker, _) = ActorRuntime::spawn_linked(None, Worker(PhantomData), work, supervisor).await?;
        Ok(worker.get_id())
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    fn set_state(&self, state: State) {
        Projector::set_state(self, state);
    }
}
