//! A domain that only sends, receives, and waits; and what is read off the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use dormouse::{
    Aggregate, At, Context, DomainEvent, Failure, Handle, Handler, HandlerSources, Job, Running, Timestamp,
};
use dormouse_kernel::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Mailbox {
    received: u64,
    /// How late the latest timers were, in microseconds.
    lateness_us: Vec<u64>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) enum MailboxCommand {
    Send { to: String },
    Receive {},
    ReceiveMany { count: u64 },
    SetTimers { due: Vec<Timestamp> },
    Ring { due: Timestamp },
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) enum MailboxEvent {
    Received {},
    Rung { late_us: u64 },
}

impl DomainEvent for MailboxEvent {}

impl Aggregate for Mailbox {
    const TYPE: &'static str = "mailbox";
    type Command = MailboxCommand;
    type Event = MailboxEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, command: MailboxCommand, context: &mut Context<Self>) -> Result<(), Self::Rejection> {
        match command {
            MailboxCommand::Send { to } => _ = context.send::<Self>(to, MailboxCommand::Receive {}),
            MailboxCommand::Receive {} => context.emit(MailboxEvent::Received {}),
            MailboxCommand::ReceiveMany { count } => (0..count).for_each(|_| context.emit(MailboxEvent::Received {})),
            MailboxCommand::SetTimers { due } => {
                for (number, due) in due.into_iter().enumerate() {
                    context.schedule(format!("t-{number}"), At(due), MailboxCommand::Ring { due });
                }
            }
            MailboxCommand::Ring { due } => {
                let late = context.now().duration_since(due).as_micros();
                context.emit(MailboxEvent::Rung { late_us: u64::try_from(late).unwrap_or(0) });
            }
        }
        Ok(())
    }

    fn evolve(&mut self, event: &MailboxEvent) {
        match event {
            MailboxEvent::Received {} => self.received += 1,
            MailboxEvent::Rung { late_us } => self.lateness_us.push(*late_us),
        }
    }
}

/// The 99th percentile of how late all timers of the log were decided.
pub(super) async fn lateness_p99(running: &Running) -> Result<Duration> {
    use dormouse_journal::PageLimit;
    use dormouse_kernel::{EventCodec, Position};

    let journal = running.engine().journal();
    let codec = EventCodec::<MailboxEvent>::new()?;
    let (mut after, mut late) = (Position::ZERO, Vec::new());
    loop {
        let page = journal.read_log(after, PageLimit::events(10_000)).await?.events;
        let Some(last) = page.last() else { break };
        after = last.position;
        for event in &page {
            let stored = &event.event;
            let decoded = codec.decode(&stored.event_type, stored.schema_version, &stored.payload)?;
            late.extend(decoded.as_slice().iter().filter_map(|event| match event {
                MailboxEvent::Rung { late_us } => Some(*late_us),
                MailboxEvent::Received {} => None,
            }));
        }
    }
    late.sort_unstable();
    let p99 = late.get(late.len() * 99 / 100).context("no timer has fired")?;
    Ok(Duration::from_micros(*p99))
}

/// Counts the jobs of a handler.
#[derive(Clone, Default)]
pub(super) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) async fn wait_for(&self, count: u64) {
        while self.count() < count {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A handler that does nothing.
#[derive(Clone)]
pub(super) struct Done(pub(super) Counter);

impl Done {
    pub(super) const LISTENER: &'static str = "handler/done";
}

impl Handler for Done {
    const NAME: &'static str = "done";

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Mailbox>()
    }
}

impl Handle<Mailbox> for Done {
    async fn handle(&self, _: &Event<'_, Mailbox>, _: &Job) -> Result<(), Failure> {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The resident memory of this process.
pub(super) fn resident_bytes() -> Result<u64> {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_whitespace().nth(1).context("no resident pages in /proc/self/statm")?;
    Ok(pages.parse::<u64>()? * PAGE)
}
