//! The connections to the file, and what their failures mean: something was dropped, or the file is damaged.

use std::sync::atomic::Ordering;

use dormouse_storage::sqlite::error::classify;
use dormouse_storage::sqlite::{Borrowed, Pool, derived_file};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::Sqlite;
use super::schema::VIEWS;
use crate::definition::Definition;
use crate::store::{BuildNumber, Error, no_build, no_view};
use dormouse_storage::to_sql;

/// Connections of one kind to the file.
#[derive(Debug)]
pub(super) struct File {
    options: SqliteConnectOptions,
    pub(super) pool: Pool,
}

impl File {
    pub(super) fn new(options: SqliteConnectOptions, max: u32) -> Self {
        Self { options, pool: Pool::new("the file of the views", max) }
    }

    /// An idle connection, or a new one.
    async fn borrow(&self) -> Result<Borrowed<'_>, Error> {
        let connect = async { self.options.connect().await.map_err(classify) };
        Ok(self.pool.borrow(connect).await?)
    }
}

/// What a statement works on. Its failure is about this.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// The store's own tables, which are always there.
    Store,
    /// The build of a view that is served.
    Served(&'a Definition),
    /// A build, served or not.
    Build(BuildNumber),
}

impl Target<'_> {
    /// The error of a statement whose target does not exist.
    pub(super) fn missing(self) -> Error {
        match self {
            Self::Store => Error::Unavailable("the tables are missing".to_owned()),
            Self::Served(view) => no_view(view.name()),
            Self::Build(build) => no_build(build),
        }
    }
}

impl Sqlite {
    /// Replaces the file if it was found to be damaged. Other workers then find that their builds no longer exist.
    pub(super) async fn replace_if_damaged(&self) -> Result<(), Error> {
        if !self.damaged.load(Ordering::Acquire) {
            return Ok(());
        }
        // This is the only writer, so nothing writes to the old file from here on.
        let writer = self.writer.borrow().await?;
        if self.damaged.load(Ordering::Acquire) {
            tracing::warn!("the views are damaged and are built anew");
            self.readers.pool.reopen();
            let created = derived_file::create(self.writer.options.clone(), &VIEWS).await?;
            created.close().await.map_err(failed)?;
            self.readers.pool.reopen();
            self.damaged.store(false, Ordering::Release);
        }
        // Closes the connection to the old file instead of returning it.
        drop(writer);
        Ok(())
    }

    /// Runs a statement or a transaction on the connection that writes. An error is about the target.
    pub(super) async fn write<T>(
        &self,
        target: Target<'_>,
        what: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        self.on(&self.writer, target, what).await
    }

    /// Runs a statement on a connection that reads. An error is about the target.
    pub(super) async fn read<T>(
        &self,
        target: Target<'_>,
        what: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        self.on(&self.readers, target, what).await
    }

    async fn on<T>(
        &self,
        file: &File,
        target: Target<'_>,
        what: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let mut borrowed = file.borrow().await?;
        match what(&mut borrowed.connection).await {
            Ok(value) => {
                borrowed.give_back();
                Ok(value)
            }
            Err(failure) => {
                drop(borrowed);
                match failed(failure) {
                    // A table that was never created, or was dropped, is no damage.
                    Error::Damaged(_) if self.is_missing(target).await => Err(target.missing()),
                    error => Err(self.note(error)),
                }
            }
        }
    }

    /// Whether it is certain that the target does not exist.
    async fn is_missing(&self, target: Target<'_>) -> bool {
        let Ok(mut reader) = self.readers.borrow().await else { return false };
        let find = match target {
            Target::Store => return false,
            Target::Served(view) => {
                sqlx::query("SELECT 1 FROM builds WHERE view = ? AND is_serving = 1").bind(view.name())
            }
            Target::Build(build) => sqlx::query("SELECT 1 FROM builds WHERE build = ?").bind(to_sql(build.0)),
        };
        find.fetch_optional(&mut reader.connection).await.is_ok_and(|found| found.is_none())
    }

    /// Remembers damage, which is repaired when a view is prepared next.
    pub(super) fn note(&self, error: Error) -> Error {
        if matches!(error, Error::Damaged(_)) {
            self.damaged.store(true, Ordering::Release);
        }
        error
    }
}

pub(super) fn failed(failure: sqlx::Error) -> Error {
    classify(failure).into()
}

impl From<dormouse_storage::Error> for Error {
    fn from(error: dormouse_storage::Error) -> Self {
        match error {
            dormouse_storage::Error::Unavailable(reason) => Self::Unavailable(reason),
            dormouse_storage::Error::Full(reason) => Self::Full(reason),
            dormouse_storage::Error::Damaged(reason) => Self::Damaged(reason),
        }
    }
}
