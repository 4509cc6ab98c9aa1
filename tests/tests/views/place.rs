//! Where journal and views are.

use dormouse_harness::{Postgres, Server, ServerBuilder};

/// Journal and views beside each other.
pub(crate) enum Place {
    Sqlite,
    /// A database of that URL.
    Postgres(String),
}

impl Place {
    pub(crate) fn postgres() -> Self {
        Self::Postgres(Postgres::shared().create_database())
    }

    pub(crate) fn server(&self) -> ServerBuilder {
        match self {
            Self::Sqlite => Server::builder(),
            Self::Postgres(url) => Server::builder().journal(url),
        }
    }
}
