//! Opening the data keys that a configuration names.

use std::sync::Arc;

use dormouse_config::{Config, JournalUrl};

use crate::data_keys::{DataKeys, Error, Options};
use crate::store::{KeyStore, Memory, Postgres, Sqlite};
use crate::wrapping::{WrappingKeyFile, WrappingKeyFileError};

/// Connections to the store of keys. Most keys are in memory: few are read at a time.
const CONNECTIONS: u32 = 2;

/// Why the data keys cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    /// The file with the wrapping keys cannot be used.
    #[error("keys.file: {0}; `dormouse encryption add-key` makes one, if there has never been one")]
    WrappingKeys(#[from] WrappingKeyFileError),
    /// The store of the data keys, or the wrapping keys for it, cannot be used.
    #[error("keys.url: {0}")]
    DataKeys(#[from] Error),
}

/// Opens the data keys. `None`: no wrapping keys are configured.
///
/// # Errors
/// If the file with the wrapping keys is missing or not private, if the store of keys cannot be used, or if these are
/// not its wrapping keys.
pub async fn open(config: &Config) -> Result<Option<DataKeys>, CannotOpen> {
    let Some(file) = config.keys.file() else { return Ok(None) };
    let wrapping = Arc::new(WrappingKeyFile::open(file)?);
    let store = store(config).await.map_err(Error::Store)?;
    Ok(Some(DataKeys::open(store, wrapping, Options::default()).await?))
}

async fn store(config: &Config) -> Result<Arc<dyn KeyStore>, crate::store::Error> {
    Ok(match &config.keys.url {
        JournalUrl::Memory => Arc::new(Memory::new()),
        JournalUrl::Sqlite(directory) => Arc::new(Sqlite::open(directory, CONNECTIONS).await?),
        JournalUrl::Postgres(url) => {
            Arc::new(Postgres::open(url, Postgres::SCHEMA, CONNECTIONS, &config.journal.postgres).await?)
        }
    })
}
