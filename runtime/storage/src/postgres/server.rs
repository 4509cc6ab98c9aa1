//! The server: where it is, and what every connection to it is told.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dormouse_config::PostgresUrl;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::failure::Failure;
use super::settings;

/// What a session is for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// Shows as its `application_name`.
    pub name: &'static str,
    /// What the server is told on it, beside what it is told on all.
    pub settings: &'static [(&'static str, &'static str)],
    /// How long a statement may take on it, if not as long as is configured.
    pub statement_timeout: Option<Duration>,
    /// Whether somebody waits for the answer who must get one: then a session is waited for as long as an answer would
    /// be. Others wait for one as long as for a new connection.
    pub is_urgent: bool,
}

/// Where to connect, and how long to wait. Clones share what they find out about it.
#[derive(Clone, Debug)]
pub struct Server {
    options: PgConnectOptions,
    /// What every session is told.
    settings: Vec<(&'static str, String)>,
    limits: dormouse_config::Postgres,
    doubted: Arc<Mutex<Option<Instant>>>,
}

impl Server {
    /// The server at a URL. Nothing is connected yet.
    ///
    /// # Errors
    /// If the URL is none.
    pub fn new(url: &PostgresUrl, limits: &dormouse_config::Postgres) -> Result<Self, Failure> {
        let options = PgConnectOptions::from_str(url.expose()).map_err(Failure::from)?;
        let options = options.disable_statement_logging().options([
            // Whoever vanished is noticed within a minute, so that it holds no lock for hours.
            ("tcp_keepalives_idle", 30),
            ("tcp_keepalives_interval", 10),
            ("tcp_keepalives_count", 3),
        ]);
        let settings = vec![
            ("lock_timeout", limits.lock_timeout.as_millis().to_string()),
            // No statement of ours follows another's answer by more than a round trip.
            ("idle_in_transaction_session_timeout", limits.statement_timeout.as_millis().to_string()),
            // A waiting statement must see what it waits for as it is when its turn comes, not as it was when it was
            // sent.
            ("default_transaction_isolation", "read committed".to_owned()),
            // Compiling a statement takes a hundred times longer than running one of ours.
            ("jit", "off".to_owned()),
        ];
        Ok(Self { options, settings, limits: limits.clone(), doubted: Arc::default() })
    }

    /// The same, where tables are looked for in this schema, and nowhere else.
    #[must_use]
    pub fn in_schema(mut self, schema: &str) -> Self {
        self.settings.push(("search_path", schema.to_owned()));
        self
    }

    /// A new connection.
    ///
    /// # Errors
    /// If there is none in time, or if the session does not have the settings that it was told.
    pub async fn connect(&self, purpose: &Purpose) -> Result<PgConnection, Failure> {
        let limit = self.limits.connect_timeout;
        let mut settings = self.settings.clone();
        settings.extend(purpose.settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        settings.push(("statement_timeout", self.statement_timeout(purpose).as_millis().to_string()));
        let options = self.options.clone().application_name(purpose.name);
        let options = options.options(settings.iter().map(|(name, value)| (*name, value.as_str())));
        let connected = timeout(limit, async {
            let mut connection = PgConnection::connect_with(&options).await.map_err(Failure::no_connection)?;
            settings::check(&mut connection, &settings).await?;
            Ok(connection)
        });
        connected.await.map_err(|_| Failure::no_connection_within(limit))?
    }

    pub(super) const fn limits(&self) -> &dormouse_config::Postgres {
        &self.limits
    }

    fn statement_timeout(&self, purpose: &Purpose) -> Duration {
        purpose.statement_timeout.unwrap_or(self.limits.statement_timeout)
    }

    /// How long to wait for an answer: the server gives up before, so then the server or the way to it is gone.
    pub(super) fn patience(&self, purpose: &Purpose) -> Duration {
        self.statement_timeout(purpose) + self.limits.connect_timeout
    }

    /// A connection was lost: those that were opened before now may be dead without showing it, all of them, and to
    /// find that out one by one takes longer than to open them anew.
    pub(super) fn doubt(&self) {
        *self.doubted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection was lost since this one was opened.
    pub(super) fn is_doubted(&self, opened: Instant) -> bool {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|doubted| opened <= doubted)
    }
}
