//! Opening the journal: the schema, and the replicas.

use dormouse_config::PostgresUrl;
use dormouse_storage::Migrated;
use dormouse_storage::postgres::{Server, identity};
use sqlx::Connection;

use super::error::unreachable;
use super::purpose::{READ, SCHEMA};
use super::schema;
use crate::error::OpenError;
use crate::store::Access;

/// Brings the schema up to date, or only checks it to read beside the owner.
pub(super) async fn prepare(server: &Server, url: &PostgresUrl, access: Access) -> Result<Migrated, OpenError> {
    let connected = server.connect(&SCHEMA).await;
    let mut connection = connected.map_err(|failure| unreachable(failure, url))?;
    let migrated = match access {
        Access::Own => schema::migrate(&mut connection, url).await?,
        Access::Read => schema::check(&mut connection, url).await.map(|()| Migrated::default())?,
    };
    // A failed close loses nothing: the server notices the end of the connection.
    _ = connection.close().await;
    Ok(migrated)
}

/// The servers of `journal.replicas`, and the identity of their primary.
pub(super) async fn replicas(
    server: &Server,
    url: &PostgresUrl,
    config: &dormouse_config::Journal,
) -> Result<(Vec<(String, Server)>, String), OpenError> {
    if config.replicas.is_empty() {
        return Ok((Vec::new(), String::new()));
    }
    let mut connection = server.connect(&READ).await.map_err(|failure| unreachable(failure, url))?;
    let primary = identity(&mut connection).await.map_err(|failure| unreachable(failure, url))?;
    // A failed close loses nothing: the server notices the end of the connection.
    _ = connection.close().await;
    let replica = |url: &PostgresUrl| match Server::new(url, &config.postgres) {
        Ok(server) => Ok((url.to_string(), server)),
        Err(failure) => Err(unreachable(failure, url)),
    };
    let replicas = config.replicas.iter().map(replica).collect::<Result<_, _>>()?;
    Ok((replicas, primary))
}
