//! Commits a batch to a build in one transaction.

use dormouse_kernel::failpoint::{Step, reach};

use crate::definition::Definition;
use crate::store::{Advance, BuildNumber, CommitError, ViewStore};

/// Commits the documents, the parked events and the offset of one batch together.
pub(crate) async fn commit(
    store: &dyn ViewStore,
    view: &Definition,
    build: BuildNumber,
    advance: Advance,
) -> Result<(), CommitError> {
    reach(Step::Projecting);
    store.commit(view, build, advance).await?;
    reach(Step::Projected);
    Ok(())
}
