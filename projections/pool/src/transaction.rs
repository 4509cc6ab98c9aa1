//! Commits a batch to a build in one transaction. Tests can plant the bugs of projections that use two transactions.

use dormouse_kernel::failpoint::{Bug, Step, is_planted, reach};

use crate::definition::Definition;
use crate::store::{Advance, BuildNumber, CommitError, Offset, ViewStore};

/// Commits a change of a build whose offset is `from`.
pub(crate) async fn commit(
    store: &dyn ViewStore,
    view: &Definition,
    build: BuildNumber,
    from: Offset,
    advance: Advance,
) -> Result<(), CommitError> {
    reach(Step::Projecting);
    let (first, second) = if is_planted(Bug::OffsetBeforeRows) {
        let (rows, offset) = halves(from, advance);
        (offset, Some(Advance { from: rows.to.position, to: rows.to, ..rows }))
    } else if is_planted(Bug::RowsBeforeOffset) {
        let (rows, offset) = halves(from, advance);
        (Advance { to: from, ..rows }, Some(offset))
    } else {
        (advance, None)
    };
    store.commit(view, build, first).await?;
    reach(Step::Projected);
    if let Some(second) = second {
        store.commit(view, build, second).await?;
    }
    Ok(())
}

/// The change of the documents, and the rest of the change.
fn halves(from: Offset, advance: Advance) -> (Advance, Advance) {
    let Advance { to, rows, gone, parked, released, .. } = advance;
    let from = from.position;
    let documents = Advance { from, to, rows, gone, parked: Vec::new(), released: Vec::new() };
    (documents, Advance { from, to, rows: Vec::new(), gone: Vec::new(), parked, released })
}
