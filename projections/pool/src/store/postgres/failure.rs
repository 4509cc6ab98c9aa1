//! What a failed statement means: the server is unavailable, something was dropped, or something is damaged.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};

use dormouse_kernel::Position;
use dormouse_storage::postgres::Failure;
use tracing::warn;

use super::{Postgres, schema};
use crate::definition::Definition;
use crate::store::numbers::position;
use crate::store::{BuildNumber, Error, no_build, no_view};
use dormouse_storage::to_sql;

/// What was found to be damaged. It is created anew when a view is prepared next.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// The store's own tables.
    tables: bool,
    views: HashSet<&'static str>,
}

/// What a statement works on. Its failure is about this.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// The store's own tables, which are always there.
    Store,
    /// The build of a view that is served.
    Served(&'a Definition),
    /// A build, served or not.
    Build(&'a Definition, BuildNumber),
}

impl Postgres {
    /// The result of a statement on a target. A failure becomes an error, and damage is remembered.
    pub(super) async fn checked<T>(&self, done: Result<T, Failure>, target: Target<'_>) -> Result<T, Error> {
        match done {
            Ok(value) => Ok(value),
            Err(failure) => Err(self.failed(failure, target).await),
        }
    }

    async fn failed(&self, failure: Failure, target: Target<'_>) -> Error {
        match failure {
            Failure::Refused(reason) | Failure::Busy(reason) | Failure::Lost(reason) => Error::Unavailable(reason),
            Failure::Full(reason) => Error::Full(reason),
            // A table that was never created, or was dropped, is no damage.
            Failure::Unusable(_) if self.is_missing(target).await => target.missing(),
            Failure::Unusable(reason) | Failure::Damaged(reason) => {
                let mut damage = self.damage();
                match target {
                    Target::Store => damage.tables = true,
                    Target::Served(view) | Target::Build(view, _) => _ = damage.views.insert(view.name()),
                }
                drop(damage);
                Error::Damaged(reason)
            }
        }
    }

    /// Whether it is certain that the target does not exist.
    async fn is_missing(&self, target: Target<'_>) -> bool {
        match target {
            Target::Store => false,
            Target::Build(_, build) => matches!(self.position(build).await, Ok(None)),
            Target::Served(view) => {
                let find = self.readers.ask(view.name(), |connection, name| {
                    Box::pin(async move {
                        let find = sqlx::query_scalar("SELECT 1 FROM builds WHERE view = $1 AND is_serving");
                        let found: Option<i32> = find.bind(*name).fetch_optional(connection).await?;
                        Ok(found)
                    })
                });
                matches!(find.await, Ok(None))
            }
        }
    }

    /// The position of a build, if it exists.
    pub(super) async fn position(&self, build: BuildNumber) -> Result<Option<Position>, Failure> {
        let find = self.writers.ask(build, |connection, build| {
            Box::pin(async move {
                let find = sqlx::query_scalar("SELECT position FROM builds WHERE build = $1");
                let found: Option<i64> = find.bind(to_sql(build.0)).fetch_optional(connection).await?;
                Ok(found.map(|number| position("builds.position", number)).transpose()?)
            })
        });
        find.await
    }

    /// Whether a view was found to be damaged.
    pub(super) fn is_damaged(&self, view: &Definition) -> bool {
        self.damage().views.contains(view.name())
    }

    /// Records that a damaged view was removed.
    pub(super) fn is_mended(&self, view: &Definition) {
        self.damage().views.remove(view.name());
    }

    /// Creates the store's own tables anew if they were found to be damaged.
    pub(super) async fn mend_tables(&self) -> Result<(), Error> {
        if !self.damage().tables {
            return Ok(());
        }
        warn!("the tables of the views are damaged and are created anew");
        let mut session = self.checked(self.writers.open().await, Target::Store).await?;
        schema::make_anew(&mut session, &self.url, &self.schema).await?;
        session.keep();
        self.damage().tables = false;
        Ok(())
    }

    fn damage(&self) -> MutexGuard<'_, Damage> {
        // Every change is a single step.
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target<'_> {
    /// The error of a statement whose target does not exist.
    pub(super) fn missing(self) -> Error {
        match self {
            Self::Store => Error::Unavailable("the tables are missing".to_owned()),
            Self::Served(view) => no_view(view.name()),
            Self::Build(_, build) => no_build(build),
        }
    }
}
