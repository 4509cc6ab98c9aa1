//! Whether the queues belong to the history that the journal has.
//!
//! At each start, the store notes the last event of the log by its mark. The next start looks for that event. A journal of
//! another server does not have it, and neither does one that was restored from an older copy: with it, consumers would
//! pass over new events at positions where they have been before.

use dormouse_journal::{Journal, ReadError};
use dormouse_kernel::{Mark, Position};

use crate::consumer_name::ConsumerName;
use crate::start_error::StartError;
use crate::store::QueueStore;

/// The name of the setting: a position, a space, and the mark of the event there.
const SETTING: &str = "history";

/// Compares what the store knows of the history with the log, and notes the last event of the log.
pub(crate) async fn check(
    journal: &Journal,
    store: &dyn QueueStore,
    consumers: impl Iterator<Item = &ConsumerName>,
) -> Result<(), StartError> {
    let head = *journal.head().borrow();
    let noted = store.settings(SETTING).await?;
    let noted = noted.iter().find(|(name, _)| name == SETTING).and_then(|(_, value)| parse(value));
    if let Some((position, mark)) = noted {
        match journal.mark_at(position).await {
            Ok(ours) if ours == Some(mark) => {}
            // Nobody can tell whether a damaged event is the right one.
            Err(ReadError::Damaged { .. }) => {}
            Ok(_) => return Err(StartError::OtherHistory { position, head }),
            Err(error) => return Err(error.into()),
        }
    }
    for consumer in consumers {
        let progress = store.progress(consumer).await?.unwrap_or_default();
        if let Some(position) = progress.shards.iter().map(|shard| shard.low).find(|low| *low > head) {
            return Err(StartError::OtherHistory { position, head });
        }
    }
    if let Ok(Some(mark)) = journal.mark_at(head).await {
        store.set_setting(SETTING, Some(format!("{} {mark}", head.0).as_bytes())).await?;
    }
    Ok(())
}

fn parse(value: &[u8]) -> Option<(Position, Mark)> {
    let (position, mark) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    Some((Position(position.parse().ok()?), Mark::parse(mark)?))
}
