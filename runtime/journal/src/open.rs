//! Opening the journal that a configuration names.

use std::sync::Arc;

use dormouse_config::{Config, JournalUrl};
use dormouse_encryption::DataKeys;

use crate::error::OpenError;
use crate::journal::Journal;
use crate::store::{Access, Memory, Migrated, Postgres, Retention, Sqlite, Store};
use crate::writer::{Options, PATIENCE};

/// Opens the journal for writing, brings its schema up to date, and takes it over from its owner. `data_keys` open what
/// is sealed in it.
///
/// # Errors
/// If it cannot be reached, is not a journal, or was written by a newer program.
pub async fn open(config: &Config, data_keys: Option<DataKeys>) -> Result<Journal, OpenError> {
    let store = store(config, Access::Own).await?;
    let patience = match config.journal.url {
        // By then the server has given up the statement, or the connection is known to be lost.
        JournalUrl::Postgres(_) => config.journal.postgres.statement_timeout + config.journal.postgres.connect_timeout,
        JournalUrl::Sqlite(_) | JournalUrl::Memory => PATIENCE,
    };
    let (batch_events, queue) = (config.journal.batch_events.get(), config.admission.per_node.get());
    let options = Options { batch_events, queue, patience, data_keys };
    let started = Journal::start(store, options).await;
    started.map_err(|error| OpenError::Unreachable { place: config.journal.url.to_string(), reason: error.to_string() })
}

/// Opens the log for reading beside its owner. It is neither changed nor taken over.
///
/// # Errors
/// If it cannot be reached, is not a journal, or has another schema version than this program.
pub async fn open_reader(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    store(config, Access::Read).await
}

/// Brings the schema up to date, and returns its versions before and after. Processes that know the new schema need not
/// stop meanwhile.
///
/// # Errors
/// If the journal cannot be reached, is not a journal, or was written by a newer program.
pub async fn migrate(config: &Config) -> Result<Migrated, OpenError> {
    match &config.journal.url {
        JournalUrl::Memory => Ok(Migrated::default()),
        JournalUrl::Sqlite(directory) => Sqlite::migrate(directory, &config.journal).await,
        JournalUrl::Postgres(url) => Postgres::migrate(url, &config.journal.postgres).await,
    }
}

async fn store(config: &Config, access: Access) -> Result<Arc<dyn Store>, OpenError> {
    let retention = Retention::from_config(&config.snapshots);
    Ok(match &config.journal.url {
        JournalUrl::Memory => Arc::new(Memory::new(retention)),
        JournalUrl::Sqlite(directory) => Arc::new(Sqlite::open(directory, &config.journal, retention, access).await?),
        JournalUrl::Postgres(url) => Arc::new(Postgres::open(url, &config.journal, retention, access).await?),
    })
}
