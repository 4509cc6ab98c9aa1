//! The store's own tables.

use dormouse_config::PostgresUrl;
use dormouse_storage::postgres::{Failure, Schema};
use sqlx::{PgConnection, query};

use crate::store::Error;

/// The tables of the store. Tables of builds are made with their builds. The lock is "dorviews" in ASCII.
static VIEWS: Schema = Schema {
    versions: "dormouse_views_schema",
    tables: &["builds", "parked", "paused"],
    lock: 0x646f_7276_6965_7773,
    migrations: &[
        include_str!("schema/1_views.sql"),
        include_str!("schema/2_begun_after.sql"),
        include_str!("schema/3_of_journal.sql"),
    ],
};

/// Drops all tables of the store: without the table of versions, the next opening would take the other tables for those
/// of another program. Tables of builds are dropped when their views are prepared.
const FORGET: &str = "DROP TABLE IF EXISTS builds, parked, paused, of_journal, dormouse_views_schema";

/// Brings the schema up to date, in one transaction. The search path of the connection contains this schema only.
pub(super) async fn migrate(connection: &mut PgConnection, url: &PostgresUrl, schema: &str) -> Result<(), Error> {
    VIEWS.migrate(connection, url, schema).await?;
    Ok(())
}

/// Creates the store's own tables anew, empty.
pub(super) async fn make_anew(connection: &mut PgConnection, url: &PostgresUrl, schema: &str) -> Result<(), Error> {
    // The opening has refused foreign and newer schemas, so the tables that are dropped here are ours.
    let forgotten = query(FORGET).execute(&mut *connection).await;
    if let Err(failure) = forgotten {
        return Err(Error::Unavailable(format!("{url}: {}", Failure::from(failure).into_reason())));
    }
    migrate(connection, url, schema).await
}
