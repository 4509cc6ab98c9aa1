//! Checks of the files before they are used, with clear errors.

use std::path::Path;
use std::time::Duration;

use dormouse_storage::sqlite::FileIdentity;
use sqlx::{ConnectOptions, Connection};

use super::error;
use super::files::Files;
use super::holder::Patience;
use super::index::Index;
use super::readers::Readers;
use super::schema::{INDEX, LOG, SNAPSHOTS};
use super::snapshots::Snapshots;
use crate::error::{OpenError, StoreError};
use crate::store::Migrated;

/// Creates the log if it is missing, checks that it is one, and brings it up to date. Waits up to `takeover_timeout`
/// for another process that holds its lock.
pub(super) async fn log(files: &Files, takeover_timeout: Duration) -> Result<Migrated, OpenError> {
    let place = files.place();
    files.create_directory().map_err(|failure| unreachable(&place, failure.to_string()))?;
    inspect_log(files, true).await?;
    let patience = Patience::new(files.log(), takeover_timeout);
    let migrated = loop {
        match migrate(files).await {
            Err(failure) if error::is_busy(&failure) => {
                if !patience.lasts() {
                    return Err(unreachable(&place, patience.exhausted()));
                }
            }
            outcome => break outcome.map_err(|failure| failed(files, &failure))?,
        }
    };
    // A newer program may have migrated the log meanwhile.
    check_version(files, migrated.to)?;
    Ok(migrated)
}

/// Opens or creates the derived files. Whether the index belongs to the log is checked again when the log is acquired.
pub(super) async fn derived(files: &Files, snapshots: &Snapshots) -> Result<(), OpenError> {
    let index = Index::open(files, || ()).await.map_err(|failure| not_derived(files, &files.index(), failure))?;
    index.close().await;
    snapshots.prepare().await.map_err(|failure| not_derived(files, &files.snapshots(), failure))
}

/// Checks that there is a log to read, with its derived files, all of this program's version. Changes nothing.
pub(super) async fn beside_owner(files: &Files, readers: &Readers) -> Result<(), OpenError> {
    let place = files.place();
    for file in [files.log(), files.index(), files.snapshots()] {
        if !file.is_file() {
            return Err(unreachable(&place, format!("there is no {}", file.display())));
        }
    }
    match inspect_log(files, false).await? {
        FileIdentity::Ours(version) if version == LOG.latest() => {}
        FileIdentity::Ours(version) => {
            let latest = LOG.latest();
            return Err(unreachable(
                &place,
                format!("it has schema version {version}, not {latest}: migrate it first"),
            ));
        }
        FileIdentity::Empty | FileIdentity::Foreign(_) => return Err(unreachable(&place, "it is empty".to_owned())),
    }
    for (options, schema) in [(files.index_reader(), &INDEX), (files.snapshot_reader(), &SNAPSHOTS)] {
        let file = options.get_filename().to_owned();
        let found = async { schema.inspect(&mut options.connect().await?).await }.await;
        let found = found.map_err(|failure| not_derived(files, &file, error::store(failure)))?;
        if found != FileIdentity::Ours(schema.latest()) {
            let reason = "it is not of this binary's version; opening it as its owner makes it again".to_owned();
            return Err(not_derived(files, &file, StoreError::Unavailable(reason)));
        }
    }
    let reader = readers.borrow().await.map_err(|failure| unreachable(&place, failure.to_string()))?;
    reader.give_back();
    Ok(())
}

async fn migrate(files: &Files) -> Result<Migrated, sqlx::Error> {
    let mut connection = files.log_writer().connect().await?;
    let migrated = LOG.migrate(&mut connection).await?;
    connection.close().await?;
    Ok(migrated)
}

async fn inspect_log(files: &Files, create: bool) -> Result<FileIdentity, OpenError> {
    let inspected = async {
        let mut connection = files.log_inspector(create).connect().await?;
        let found = LOG.inspect(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(found)
    };
    let found = inspected.await.map_err(|failure| failed(files, &failure))?;
    match &found {
        FileIdentity::Foreign(reason) => return Err(foreign(files, reason.clone())),
        FileIdentity::Ours(version) => check_version(files, *version)?,
        FileIdentity::Empty => {}
    }
    Ok(found)
}

fn check_version(files: &Files, found: i64) -> Result<(), OpenError> {
    let known = LOG.latest();
    if found > known { Err(OpenError::Newer { place: files.place(), found, known }) } else { Ok(()) }
}

fn failed(files: &Files, failure: &sqlx::Error) -> OpenError {
    if error::is_not_a_database(failure) {
        return foreign(files, "it is not a database".to_owned());
    }
    unreachable(&files.place(), format!("{}: {}", files.log().display(), error::reason(failure)))
}

fn foreign(files: &Files, reason: String) -> OpenError {
    OpenError::Foreign { place: files.log().display().to_string(), reason }
}

fn not_derived(files: &Files, file: &Path, failure: StoreError) -> OpenError {
    let reason = match failure {
        StoreError::Unavailable(reason) | StoreError::Full(reason) | StoreError::Damaged(reason) => reason,
        StoreError::Fenced => failure.to_string(),
    };
    unreachable(&files.place(), format!("{}: {reason}", file.display()))
}

fn unreachable(place: &str, reason: String) -> OpenError {
    OpenError::Unreachable { place: place.to_owned(), reason }
}
