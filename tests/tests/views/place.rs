//! The storage of journal and views, and an operator's look at the views' tables.

use dormouse_harness::{Postgres, Server, ServerBuilder};
use sqlx::{ConnectOptions, Connection};

/// Journal and views in the server's directory.
pub(crate) enum Place {
    Sqlite,
    /// The database of this URL.
    Postgres(String),
}

impl Place {
    pub(crate) fn postgres() -> Self {
        Self::Postgres(Postgres::shared().create_database())
    }

    /// A server with the shop alone: the tables of other modules' views are not there, and take no time.
    pub(crate) fn server(&self) -> ServerBuilder {
        let shop = Server::builder().set(r#"modules.enabled=["commerce"]"#);
        match self {
            Self::Sqlite => shop,
            Self::Postgres(url) => shop.journal(url),
        }
    }

    /// The tables that hold documents, sorted.
    pub(crate) fn tables(&self, server: &Server) -> Vec<String> {
        let tables = match self {
            Self::Sqlite => {
                let file = server.working_directory().join("data/views.db");
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).read_only(true);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut connection = options.connect().await.unwrap();
                    let tables = sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'");
                    let tables: Vec<String> = tables.fetch_all(&mut connection).await.unwrap();
                    connection.close().await.unwrap();
                    tables
                })
            }
            Self::Postgres(url) => {
                let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'dormouse_views'";
                Postgres::shared().query(url, tables).lines().map(str::to_owned).collect()
            }
        };
        let is_build = |name: &String| {
            let number = name.strip_prefix("view_").and_then(|name| name.rsplit_once('_'));
            number.is_some_and(|(_, number)| number.parse::<u64>().is_ok())
        };
        let mut tables: Vec<String> = tables.into_iter().filter(is_build).collect();
        tables.sort();
        tables
    }
}
