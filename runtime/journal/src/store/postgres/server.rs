//! The server: where it is, and what every connection to it is told.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dormouse_config::PostgresUrl;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::failure::Failure;

/// What a session is for. It shows as its `application_name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Migrations.
    Schema,
    /// Taking over and appending.
    Write,
    /// What the writer looks up before it appends.
    Check,
    /// Everything else.
    Read,
}

impl Purpose {
    pub(super) const fn application_name(self) -> &'static str {
        match self {
            Self::Schema => "dormouse schema",
            Self::Write => "dormouse writer",
            Self::Check => "dormouse checks",
            Self::Read => "dormouse reader",
        }
    }
}

/// Where to connect, and how long to wait. Clones share what they find out about it.
#[derive(Clone, Debug)]
pub(super) struct Server {
    options: PgConnectOptions,
    limits: dormouse_config::Postgres,
    doubted: Arc<Mutex<Option<Instant>>>,
}

impl Server {
    pub(super) fn new(url: &PostgresUrl, limits: &dormouse_config::Postgres) -> Result<Self, Failure> {
        let options = PgConnectOptions::from_str(url.expose()).map_err(Failure::from)?;
        let statement_timeout = limits.statement_timeout.as_millis();
        let options = options.disable_statement_logging().options([
            ("statement_timeout", statement_timeout),
            ("lock_timeout", limits.lock_timeout.as_millis()),
            // No statement of ours follows another's answer by more than a round trip.
            ("idle_in_transaction_session_timeout", statement_timeout),
            // Whoever vanished is noticed within a minute, so that it holds no lock for hours.
            ("tcp_keepalives_idle", 30),
            ("tcp_keepalives_interval", 10),
            ("tcp_keepalives_count", 3),
        ]);
        let options = options.options([
            // A waiting append must see the epoch as it is when its turn comes, not as it was when it was sent.
            ("default_transaction_isolation", "read committed"),
            // Every query here has its index. While the tables are small the planner would rather scan them, and
            // then keep that plan as they grow.
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            // Compiling a statement takes a hundred times longer than running one of ours. The planner would do it,
            // since a scan that is off counts as endlessly expensive, and `log_head` is scanned: it is one page.
            ("jit", "off"),
        ]);
        Ok(Self { options, limits: limits.clone(), doubted: Arc::default() })
    }

    pub(super) async fn connect(&self, purpose: Purpose) -> Result<PgConnection, Failure> {
        let limit = self.limits.connect_timeout;
        // Whatever the server's default: an append is durable when it is answered. Only snapshots are written by
        // others, and those may get lost.
        let synchronous_commit = if purpose == Purpose::Read { "off" } else { "on" };
        let options = self.options.clone().application_name(purpose.application_name());
        let options = options.options([("synchronous_commit", synchronous_commit)]);
        let connection = timeout(limit, PgConnection::connect_with(&options)).await;
        connection.map_err(|_| Failure::no_connection_within(limit))?.map_err(Failure::no_connection)
    }

    pub(super) const fn limits(&self) -> &dormouse_config::Postgres {
        &self.limits
    }

    /// How long to wait for an answer: the server gives up before, so then the server or the way to it is gone.
    pub(super) fn patience(&self) -> Duration {
        self.limits.statement_timeout + self.limits.connect_timeout
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
