//! Waking: the state from the nearest source, be it dormant bytes, a snapshot and what came after, or all events.

use std::time::Instant;

use dormouse_journal::{AsOf, PageLimit, ReadError};
use dormouse_kernel::failpoint::{self, Step};
use dormouse_kernel::{Aggregate, AggregateId, AggregateRef, CodecError, RecordedEvent, Timestamp, Version};
use metrics::{counter, histogram};
use tracing::warn;

use super::LoadedAggregate;
use super::state_equality::states_equal;
use crate::clock_check;
use crate::metric;
use crate::registered_type::RegisteredType;
use crate::snapshot_sample::Use;

/// What is read of a history at a time. Many aggregates wake at once, so that large events come a few at a time; of small
/// ones, most histories are one page.
const PAGE: PageLimit = PageLimit::events(512).bytes(256 << 10);

/// Whoever asks for the state of this moment has read a clock up to so long ago: a slow client, and another clock.
const PRESENT_SECONDS: i64 = 60;

/// Why an aggregate could not be woken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoadError {
    /// The journal does not answer; a later attempt may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// What the journal has cannot be read; no later attempt will succeed.
    #[error("{0}")]
    Unreadable(String),
}

impl From<ReadError> for LoadError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(reason) => Self::Unavailable(reason),
            ReadError::Damaged { .. } => Self::Unreadable(error.to_string()),
        }
    }
}

impl From<CodecError> for LoadError {
    fn from(error: CodecError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// The current state of an aggregate.
pub(super) async fn load<A: Aggregate>(
    registered: &RegisteredType<A>,
    id: &AggregateId,
) -> Result<LoadedAggregate<A>, LoadError> {
    failpoint::reach(Step::Waking);
    let _waking = registered.waking();
    let started = Instant::now();
    let aggregate = registered.aggregate(id);
    let (loaded, source) = match from_dormant(registered, &aggregate) {
        Some(loaded) => (loaded, "dormant"),
        None => from_journal(registered, &aggregate, AsOf::Now).await?,
    };
    if let Some(ahead) = clock_check::ahead_of(&*registered.node.clock, loaded.recorded_at) {
        let ahead_seconds = ahead.as_secs();
        warn!(%aggregate, ahead_seconds, last_event = %loaded.recorded_at, "its last event lies ahead of the clock");
        counter!(metric::AHEAD_OF_CLOCK).increment(1);
    }
    counter!(metric::WAKEUPS, "source" => source).increment(1);
    histogram!(metric::WAKEUP_DURATION, "source" => source).record(started.elapsed());
    Ok(loaded)
}

/// A past state. If it would take more events than there are, the latest.
pub(crate) async fn load_as_of<A: Aggregate>(
    registered: &RegisteredType<A>,
    id: &AggregateId,
    as_of: AsOf,
) -> Result<LoadedAggregate<A>, LoadError> {
    let as_of = match as_of {
        AsOf::Time(time) => as_of_time(registered, &registered.aggregate(id), time).await?,
        AsOf::Now | AsOf::Version(_) => as_of,
    };
    let (loaded, _) = from_journal(registered, &registered.aggregate(id), as_of).await?;
    Ok(loaded)
}

fn from_dormant<A: Aggregate>(registered: &RegisteredType<A>, aggregate: &AggregateRef) -> Option<LoadedAggregate<A>> {
    let body = registered.node.dormant.take(aggregate)?;
    let loaded = LoadedAggregate::from_dormant(&body);
    loaded.inspect_err(|error| warn!(%aggregate, %error, "dormant bytes do not decode, replaying instead")).ok()
}

async fn from_journal<A: Aggregate>(
    registered: &RegisteredType<A>,
    aggregate: &AggregateRef,
    as_of: AsOf,
) -> Result<(LoadedAggregate<A>, &'static str), LoadError> {
    if let Some(snapshot) = registered.node.journal.snapshot(aggregate, as_of).await
        && let Some((loaded, program)) = LoadedAggregate::from_snapshot(&snapshot, registered.shape)
        && let Some(mut loaded) = checked(registered, aggregate, loaded, program).await?
    {
        match replay(registered, aggregate, &mut loaded, as_of).await {
            Ok(()) => return Ok((loaded, "snapshot")),
            // A snapshot is a cache: if it does not fit what follows, the events decide.
            Err(LoadError::Unreadable(problem)) => {
                warn!(%aggregate, version = %snapshot.version, problem, "ignoring a snapshot");
            }
            Err(unavailable) => return Err(unavailable),
        }
    }
    let mut loaded = LoadedAggregate::new();
    let started = Instant::now();
    replay(registered, aggregate, &mut loaded, as_of).await?;
    let events = loaded.version.0;
    registered.replay_cost.measured(events, started.elapsed());
    Ok((loaded, if events == 0 { "new" } else { "events" }))
}

/// What a snapshot has, once it is known to be what its events lead to; what they lead to, until then. `None`: it is not used.
async fn checked<A: Aggregate>(
    registered: &RegisteredType<A>,
    aggregate: &AggregateRef,
    stored: LoadedAggregate<A>,
    program: Option<u64>,
) -> Result<Option<LoadedAggregate<A>>, LoadError> {
    match registered.sample.judge(program) {
        Use::AsItIs => return Ok(Some(stored)),
        Use::Ignore => return Ok(None),
        Use::Compare => {}
    }
    let started = Instant::now();
    let mut folded = LoadedAggregate::new();
    match replay(registered, aggregate, &mut folded, AsOf::Version(stored.version)).await {
        Ok(()) => {}
        // Events before it are damaged: there is nothing to compare it with.
        Err(LoadError::Unreadable(_)) => return Ok(Some(stored)),
        Err(unavailable) => return Err(unavailable),
    }
    if folded.chain == stored.chain
        && let Ok(is_same) = states_equal(&folded.state, &stored.state)
    {
        registered.sample.compared(
            &format_args!("{aggregate} at version {}", stored.version),
            is_same,
            started.elapsed(),
        );
        if is_same {
            folded.since_snapshot = 0;
        }
    }
    Ok(Some(folded))
}

pub(super) async fn replay<A: Aggregate>(
    registered: &RegisteredType<A>,
    aggregate: &AggregateRef,
    loaded: &mut LoadedAggregate<A>,
    as_of: AsOf,
) -> Result<(), LoadError> {
    let mut last_command = None;
    loop {
        let page = registered.node.journal.events_after(aggregate, loaded.anchor(), PAGE).await?;
        for event in &page {
            if !as_of.includes(event.version, event.event.recorded_at) {
                return Ok(());
            }
            loaded.replay(event, &registered.codec, registered.node.config.commands.recent_keys.get())?;
        }
        last_command = latest_command(&page)?.or(last_command);
        if !page.is_cut {
            return whole(last_command, loaded.version);
        }
    }
}

/// Which version the state of a time has: that of the last event recorded at or before it. After an hour of a wrong clock an
/// earlier time follows a later one, so that it takes a look at the whole history from the nearest snapshot on.
async fn as_of_time<A: Aggregate>(
    registered: &RegisteredType<A>,
    aggregate: &AggregateRef,
    time: Timestamp,
) -> Result<AsOf, LoadError> {
    let now = registered.node.clock.now();
    let is_present = now.duration_since(time).as_secs() <= PRESENT_SECONDS;
    // The time of an event that lies ahead of the clock is wrong, but the event happened before now.
    let is_included = |recorded_at| recorded_at <= time || is_present && recorded_at > now;
    let snapshot = registered.node.journal.snapshot(aggregate, AsOf::Time(time)).await;
    let mut last = snapshot.map_or(Version::ZERO, |snapshot| snapshot.version);
    let mut seen = last;
    loop {
        let page = registered.node.journal.history(aggregate, seen, PAGE).await?;
        let included = page.iter().rfind(|event| is_included(event.event.recorded_at));
        last = included.map_or(last, |event| event.version);
        seen = page.last().map_or(seen, |event| event.version);
        if !page.is_cut {
            return Ok(AsOf::Version(last));
        }
    }
}

/// The latest command among these events: the version of its first event, and how many it made.
fn latest_command(events: &[RecordedEvent]) -> Result<Option<(Version, u32)>, CodecError> {
    for event in events.iter().rev() {
        if let Some(command) = event.metadata()?.command {
            return Ok(Some((event.version, command.events)));
        }
    }
    Ok(None)
}

/// A log that was torn in the middle of a command still has dense versions and a chain that holds. Only the command
/// itself says that it is not all there, and only the last one can be so.
fn whole(last_command: Option<(Version, u32)>, version: Version) -> Result<(), LoadError> {
    match last_command {
        Some((first, events)) if version.next() < first.plus(u64::from(events)) => Err(LoadError::Unreadable(format!(
            "the command from version {first} on made {events} events, but the history ends at {version}"
        ))),
        _ => Ok(()),
    }
}
