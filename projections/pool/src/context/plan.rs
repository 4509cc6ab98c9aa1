//! The planner: it finds which builds a view has, begins those that are missing, and decides which ones need a worker.

use dormouse_journal::ReadError;
use dormouse_kernel::{Mark, Position};
use tracing::{info, warn};

use super::ProjectionContext;
use crate::error::ProjectionError;
use crate::store::{Begin, Build, BuildNumber, Builds, Offset};

impl ProjectionContext {
    /// Returns the builds that need a worker.
    ///
    /// This code cannot move a build that another version made. Such a build is served as it is, until a new one beside
    /// it has caught up. An unfinished build is continued if this version would make it.
    pub(crate) async fn plan(&self) -> Result<Vec<BuildNumber>, ProjectionError> {
        let view = &self.definition;
        check_journal(self.store.of_journal(None).await?, self.first_event().await?)?;
        let Builds { serving, mut next, is_paused } = self.store.prepare(view).await?;
        if is_paused {
            info!(view = view.name(), "a view is paused");
            self.set_builds(serving, next, true).await?;
            return Ok(Vec::new());
        }
        let serving = match serving {
            Some(build) if self.is_in_journal(build.offset).await? => build,
            found => {
                if let Some(Build { offset, .. }) = found {
                    let position = offset.position;
                    warn!(view = view.name(), %position, "a view belongs to another history and is rebuilt");
                }
                next = None;
                self.view_cache.closes();
                self.store.begin(view, Offset::START, Begin::Instead).await?
            }
        };
        self.claim_store().await?;
        if let Some(build) = next
            && !(build.version == view.version() && self.is_in_journal(build.offset).await?)
        {
            info!(view = view.name(), version = build.version, "dropping an unfinished build that cannot be continued");
            self.store.abandon(view).await?;
            next = None;
        }
        let is_current = serving.version == view.version();
        if !is_current && next.is_none() {
            let (version, wanted) = (serving.version, view.version());
            warn!(
                view = view.name(),
                version, wanted, "another version of the code built a view: a new build is made beside it"
            );
            next = Some(self.store.begin(view, Offset::START, Begin::Beside).await?);
        }
        self.set_builds(Some(serving), next, false).await?;
        Ok(Some(serving).filter(|_| is_current).into_iter().chain(next).map(|build| build.number).collect())
    }

    /// Notes in the store which journal its views belong to, once the journal has an event. If another process with a
    /// wrong `views.url` opens this store for another journal, its projections stop and leave the views as they are.
    pub(crate) async fn claim_store(&self) -> Result<(), ProjectionError> {
        let first = self.first_event().await?;
        check_journal(self.store.of_journal(first).await?, first)
    }

    async fn first_event(&self) -> Result<Option<Mark>, ReadError> {
        self.journal.mark_at(Position::ZERO.next()).await
    }

    /// Whether the log has the last event of a build, with the same chain.
    async fn is_in_journal(&self, offset: Offset) -> Result<bool, ReadError> {
        Ok(self.offset_at(offset.position).await? == Some(offset))
    }
}

/// Compares the marks of the first event: the store's, and the journal's.
fn check_journal(stored: Option<Mark>, ours: Option<Mark>) -> Result<(), ProjectionError> {
    let Some(stored) = stored.filter(|stored| Some(*stored) != ours) else { return Ok(()) };
    let ours = ours.map_or_else(|| "none".to_owned(), |ours| ours.to_string());
    let problem = format!(
        "these views belong to another journal (its first event has the mark {stored}, here it is {ours}): set `views.url` to \
         another place, or delete the views if they are not needed"
    );
    Err(ProjectionError::Permanent(problem.into()))
}
