//! Loads an aggregate from the nearest source: dormant bytes, a snapshot and the events after it, or all events.

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
use crate::snapshot_sample::SnapshotUse;

/// How much of a history is read at a time. Many aggregates are loaded at once, so a page has room for only a few large
/// events. Most histories of small events are one page.
const PAGE: PageLimit = PageLimit::events(512).bytes(256 << 10);

/// A time that is at most this long ago counts as the present: the client that asks for it may be slow, or have another
/// clock.
const PRESENT_SECONDS: i64 = 60;

/// Why an aggregate could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoadError {
    /// The journal does not answer. A later attempt may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// The stored events cannot be read. No later attempt will succeed.
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

/// Loads an aggregate for its actor.
pub(super) async fn load<A: Aggregate>(
    registered: &RegisteredType<A>,
    id: &AggregateId,
) -> Result<LoadedAggregate<A>, LoadError> {
    failpoint::reach(Step::Waking);
    let _waking = registered.waking();
    let started = Instant::now();
    let aggregate = registered.aggregate(id);
    // Before anything is read: what is forgotten from here on is noticed later.
    let forgets = registered.forgets();
    let (mut loaded, source) = match from_dormant(registered, &aggregate, forgets) {
        Some(loaded) => (loaded, "dormant"),
        None => from_journal(registered, &aggregate, AsOf::Now).await?,
    };
    loaded.forgets = forgets;
    if let Some(ahead) = clock_check::ahead_of(&*registered.node.clock, loaded.recorded_at) {
        let ahead_seconds = ahead.as_secs();
        let last_event = loaded.recorded_at;
        warn!(%aggregate, ahead_seconds, %last_event, "the last event of the aggregate is ahead of the clock");
        counter!(metric::AHEAD_OF_CLOCK).increment(1);
    }
    counter!(metric::WAKEUPS, "source" => source).increment(1);
    histogram!(metric::WAKEUP_DURATION, "source" => source).record(started.elapsed());
    Ok(loaded)
}

/// Loads a past state for a reader. If the aggregate has fewer events than asked for, it is the latest state.
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

fn from_dormant<A: Aggregate>(
    registered: &RegisteredType<A>,
    aggregate: &AggregateRef,
    forgets: u64,
) -> Option<LoadedAggregate<A>> {
    let body = registered.node.dormant.take(aggregate).filter(|body| body.forgets() == forgets)?;
    let loaded = LoadedAggregate::from_dormant(&body);
    loaded.inspect_err(|error| warn!(%aggregate, %error, "cannot decode dormant bytes, loading from the journal")).ok()
}

async fn from_journal<A: Aggregate>(
    registered: &RegisteredType<A>,
    aggregate: &AggregateRef,
    as_of: AsOf,
) -> Result<(LoadedAggregate<A>, &'static str), LoadError> {
    if let Some(snapshot) = registered.node.journal.snapshot(aggregate, as_of).await
        && let Some((loaded, program)) = LoadedAggregate::from_snapshot(&snapshot, registered.shape)
        && let Some(mut loaded) = confirmed(registered, aggregate, loaded, program).await?
    {
        match replay(registered, aggregate, &mut loaded, as_of).await {
            Ok(()) => return Ok((loaded, "snapshot")),
            // A snapshot is a cache: if the next event does not follow it, the events decide.
            Err(LoadError::Unreadable(problem)) => {
                warn!(%aggregate, version = %snapshot.version, problem, "ignoring a snapshot, replaying all events");
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

/// The state of a snapshot if snapshots of its program are trusted, and else the fold of its events, to which the
/// snapshot is compared. `None` if the snapshot is not used.
async fn confirmed<A: Aggregate>(
    registered: &RegisteredType<A>,
    aggregate: &AggregateRef,
    stored: LoadedAggregate<A>,
    program: Option<u64>,
) -> Result<Option<LoadedAggregate<A>>, LoadError> {
    match registered.sample.decide(program) {
        SnapshotUse::Accept => return Ok(Some(stored)),
        SnapshotUse::Ignore => return Ok(None),
        SnapshotUse::Compare => {}
    }
    let started = Instant::now();
    let mut folded = LoadedAggregate::new();
    match replay(registered, aggregate, &mut folded, AsOf::Version(stored.version)).await {
        Ok(()) => {}
        // Events before the snapshot are damaged: there is nothing to compare it to.
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
            return check_last_command(last_command, loaded.version);
        }
    }
}

/// The version of the state at a time: that of the last event recorded at or before it. It reads the whole history from
/// the nearest snapshot on, because a clock that was wrong for an hour leaves earlier times after later ones.
async fn as_of_time<A: Aggregate>(
    registered: &RegisteredType<A>,
    aggregate: &AggregateRef,
    time: Timestamp,
) -> Result<AsOf, LoadError> {
    let now = registered.node.clock.now();
    let is_present = now.duration_since(time).as_secs() <= PRESENT_SECONDS;
    // The time of an event that is ahead of the clock is wrong, but the event happened before now.
    let is_included = |recorded_at| recorded_at <= time || is_present && recorded_at > now;
    let snapshot = registered.node.journal.snapshot(aggregate, AsOf::Time(time)).await;
    let mut last = snapshot.map_or(Version::ZERO, |snapshot| snapshot.version);
    let mut read_to = last;
    loop {
        let page = registered.node.journal.history(aggregate, read_to, PAGE).await?;
        let included = page.iter().rfind(|event| is_included(event.event.recorded_at));
        last = included.map_or(last, |event| event.version);
        read_to = page.last().map_or(read_to, |event| event.version);
        if !page.is_cut {
            return Ok(AsOf::Version(last));
        }
    }
}

/// The latest command among these events: the version of its first event, and the number of its events.
fn latest_command(events: &[RecordedEvent]) -> Result<Option<(Version, u32)>, CodecError> {
    for event in events.iter().rev() {
        if let Some(command) = event.metadata()?.command {
            return Ok(Some((event.version, command.events)));
        }
    }
    Ok(None)
}

/// Checks that all events of the last command are there. A log that was torn within a command still has dense versions
/// and a valid chain. Only the command says how many events it made, and only the last one can be incomplete.
fn check_last_command(last_command: Option<(Version, u32)>, version: Version) -> Result<(), LoadError> {
    match last_command {
        Some((first, events)) if version.next() < first.plus(u64::from(events)) => Err(LoadError::Unreadable(format!(
            "the command at version {first} made {events} events, but the history ends at version {version}"
        ))),
        _ => Ok(()),
    }
}
