//! Builds and their changes: finding them, beginning, serving and dropping them, and bringing their indexes up to date.

use std::time::Duration;

use dormouse_storage::postgres::Failure;
use tracing::{debug, warn};

use super::Postgres;
use super::builds::{self, Change, FoundBuild};
use super::failure::Target;
use super::indexes;
use super::known::Known;
use crate::definition::Definition;
use crate::store::{Begin, Build, BuildNumber, Builds, Error, Offset};

impl Postgres {
    /// See [`ViewStore::prepare`](crate::ViewStore::prepare).
    pub(super) async fn prepare_view(&self, view: &Definition) -> Result<Builds, Error> {
        match self.try_to_prepare(view).await {
            // The damage is recorded now, and the second attempt repairs it.
            Err(Error::Damaged(_)) => self.try_to_prepare(view).await,
            prepared => prepared,
        }
    }

    async fn try_to_prepare(&self, view: &Definition) -> Result<Builds, Error> {
        self.mend_tables().await?;
        // The caller moves the view from now on. What is found below includes every commit with an unknown outcome.
        self.known.forget(view.name());
        self.known.is_ours(view.name());
        let changes = self.known.changes(view.name());
        let found = self
            .writers
            .ask(view, |connection, view| Box::pin(async move { Ok(builds::find(connection, view).await?) }));
        let (rows, is_paused, is_untidy) = self.checked(found.await, Target::Store).await?;
        let mut found = Builds { is_paused, ..Builds::default() };
        let builds = match rows.into_iter().map(builds::decode).collect::<Result<Vec<_>, Error>>() {
            Ok(builds) if !self.is_damaged(view) => builds,
            decoded => {
                let reason = decoded.err().map(tracing::field::display);
                warn!(view = view.name(), reason, "the view is damaged and is built anew");
                self.change(view.name(), Change::Forget).await?;
                self.is_mended(view);
                return Ok(found);
            }
        };
        if is_untidy && builds.is_empty() {
            // The store's own tables were lost, and the SQL view may still show a table of the view: this drops the SQL
            // view.
            self.change(view.name(), Change::Forget).await?;
        } else if is_untidy {
            self.tidy(view.name()).await;
        }
        for FoundBuild { build, is_serving, mark } in builds {
            if is_serving {
                self.known.shown(view.name(), changes, mark);
            }
            if build.version == view.version() {
                self.fit_indexes(view, build.number).await?;
            }
            *(if is_serving { &mut found.serving } else { &mut found.next }) = Some(build);
        }
        Ok(found)
    }

    /// Creates and drops indexes, so that each declared field has one.
    async fn fit_indexes(&self, view: &Definition, build: BuildNumber) -> Result<(), Error> {
        let fitted = async {
            let mut session = self.writers.open().await?;
            let changes = self.writers.run(indexes::changes(&mut session, view, build)).await?;
            session.keep();
            let Some(changes) = changes else { return Ok(()) };
            let mut session = self.indexer.open().await?;
            self.indexer.run(changes.carry_out(&mut session)).await?;
            session.keep();
            Ok(())
        };
        self.checked(fitted.await, Target::Build(view, build)).await
    }

    /// See [`ViewStore::begin`](crate::ViewStore::begin).
    pub(super) async fn begin_build(&self, view: &Definition, after: Offset, how: Begin) -> Result<Build, Error> {
        let begun = self.change(view.name(), Change::Begin(view, after, how)).await?;
        let number = begun.ok_or_else(|| Target::Served(view).missing())?;
        Ok(Build { number, version: view.version(), begun_after: after.position, offset: after })
    }

    /// See [`ViewStore::serve`](crate::ViewStore::serve).
    pub(super) async fn serve_build(&self, view: &Definition, build: BuildNumber) -> Result<bool, Error> {
        let is_far_enough = self.writers.ask((view, build), |connection, (view, build)| {
            Box::pin(async move { Ok(builds::is_far_enough(connection, view, *build).await?) })
        });
        if !self.checked(is_far_enough.await, Target::Store).await? {
            return Ok(false);
        }
        // The build can be served without statistics. Its lists are slower then, until the server analyzes it by
        // itself.
        if let Ok(mut session) = self.indexer.open().await
            && self.indexer.run(builds::analyze(&mut session, view, build)).await.is_ok()
        {
            session.keep();
        }
        Ok(self.change(view.name(), Change::Serve(view, build)).await?.is_some())
    }

    /// Changes the builds of a view, then drops the tables that no build needs any more. Returns the build that was
    /// begun or served.
    pub(super) async fn change(&self, name: &str, change: Change<'_>) -> Result<Option<BuildNumber>, Error> {
        // Shorter than the lock timeout of the readers that queue behind this change: none of them fails because of it.
        let mut patience = self.limits.lock_timeout / 8;
        let _guard = ChangeGuard::begin(&self.known, name);
        loop {
            match self.try_to_change(name, change, patience).await {
                Ok(build) => {
                    self.tidy(name).await;
                    return Ok(build);
                }
                Err(Failure::Busy(_)) if patience < self.limits.lock_timeout / 2 => {
                    // The readers that queued get the lock first.
                    tokio::time::sleep(patience).await;
                    patience *= 2;
                }
                Err(failure) => return self.checked(Err(failure), Target::Store).await,
            }
        }
    }

    async fn try_to_change(
        &self,
        name: &str,
        change: Change<'_>,
        patience: Duration,
    ) -> Result<Option<BuildNumber>, Failure> {
        let mut session = self.writers.open().await?;
        let changed = self.writers.run(builds::change(&mut session, name, change, patience)).await?;
        session.keep();
        Ok(changed)
    }

    /// Drops the tables of a view that belong to no build. What fails is tried again when the view is prepared.
    async fn tidy(&self, name: &str) {
        let tidied = async {
            let mut session = self.writers.open().await?;
            self.writers.run(builds::tidy(&mut session, name)).await?;
            session.keep();
            Ok::<(), Failure>(())
        };
        if let Err(failure) = tidied.await {
            debug!(view = name, reason = failure.into_reason(), "a table that no build uses could not be dropped yet");
        }
    }
}

/// Makes the store forget which build is served when a change begins and when it ends: what is read in between may be
/// of the old build or of the new one.
struct ChangeGuard<'a> {
    known: &'a Known,
    view: &'a str,
}

impl<'a> ChangeGuard<'a> {
    fn begin(known: &'a Known, view: &'a str) -> Self {
        known.forget(view);
        Self { known, view }
    }
}

impl Drop for ChangeGuard<'_> {
    fn drop(&mut self) {
        self.known.forget(self.view);
    }
}
