//! One batch of events moves a build on in one transaction.

use dormouse_kernel::failpoint::{Step, reach};

use crate::definition::Definition;
use crate::store::{Advance, BuildNumber, CommitError, ViewStore};

/// Writes the documents and the offset of one batch together.
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
