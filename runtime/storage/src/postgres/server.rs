//! The server: its address, and the settings of every connection to it.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dormouse_config::PostgresUrl;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::failure::Failure;
use super::settings;

/// What a session is for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// Shows as its `application_name`.
    pub name: &'static str,
    /// Settings of such a session, beside those of every session.
    pub settings: &'static [(&'static str, &'static str)],
    /// How long a statement may take, if not as long as the configuration says.
    pub statement_timeout: Option<Duration>,
    /// Whether a caller depends on the result. Then it waits for a free session as long as it would for the result of a
    /// statement; otherwise as long as for a new connection.
    pub is_urgent: bool,
}

/// A server, and how long to wait for it. Clones share what they learn about its connections.
#[derive(Clone, Debug)]
pub struct Server {
    options: PgConnectOptions,
    /// The settings of every session.
    settings: Vec<(&'static str, String)>,
    limits: dormouse_config::Postgres,
    doubted: Arc<Mutex<Option<Instant>>>,
}

impl Server {
    /// The server at a URL. Nothing is connected yet.
    ///
    /// # Errors
    /// If the URL cannot be parsed.
    pub fn new(url: &PostgresUrl, limits: &dormouse_config::Postgres) -> Result<Self, Failure> {
        let options = PgConnectOptions::from_str(url.expose()).map_err(Failure::from)?;
        let options = if names_ssl_mode(url.expose()) {
            options
        } else {
            let mode = default_ssl_mode(options.get_socket().is_some(), options.get_host());
            options.ssl_mode(mode)
        };
        let options = options.disable_statement_logging().options([
            // The server notices a client that vanished within a minute, so that it holds no lock for hours.
            ("tcp_keepalives_idle", 30),
            ("tcp_keepalives_interval", 10),
            ("tcp_keepalives_count", 3),
        ]);
        let settings = vec![
            ("lock_timeout", limits.lock_timeout.as_millis().to_string()),
            // Each statement of ours follows the result of the one before it within a round trip.
            ("idle_in_transaction_session_timeout", limits.statement_timeout.as_millis().to_string()),
            // A statement that waits for a row must see the row as it is when the wait ends, not as it was when the
            // statement was sent.
            ("default_transaction_isolation", "read committed".to_owned()),
            // Compiling a statement takes a hundred times longer than running one of ours.
            ("jit", "off".to_owned()),
        ];
        Ok(Self { options, settings, limits: limits.clone(), doubted: Arc::default() })
    }

    /// The same server, where tables are looked up in this schema and nowhere else.
    #[must_use]
    pub fn in_schema(mut self, schema: &str) -> Self {
        self.settings.push(("search_path", schema.to_owned()));
        self
    }

    /// Opens a new connection.
    ///
    /// # Errors
    /// If that takes longer than `connect_timeout`, or if the session does not have the settings that it was opened
    /// with.
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

    /// How long to wait for a result. The server gives up a statement earlier, so past this time the server or the
    /// network has failed.
    pub(super) fn patience(&self, purpose: &Purpose) -> Duration {
        self.statement_timeout(purpose) + self.limits.connect_timeout
    }

    /// Notes that a connection was lost. All connections that were opened before may be dead without showing it, and
    /// testing each of them takes longer than opening new ones.
    pub(super) fn doubt(&self) {
        *self.doubted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection was lost since this one was opened.
    pub(super) fn is_doubted(&self, opened: Instant) -> bool {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|doubted| opened <= doubted)
    }
}

/// Whether a URL says if connections are encrypted.
fn names_ssl_mode(url: &str) -> bool {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    parameters.split('&').any(|parameter| parameter.starts_with("sslmode=") || parameter.starts_with("ssl-mode="))
}

/// Within this machine, encryption only takes time. Beyond it, connections are encrypted if the server is willing, as
/// with PostgreSQL's own programs.
fn default_ssl_mode(is_socket: bool, host: &str) -> PgSslMode {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_address_here = address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    let is_here = is_socket || host == "localhost" || host.starts_with('/') || is_address_here;
    if is_here { PgSslMode::Disable } else { PgSslMode::Prefer }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_beyond_this_machine_are_encrypted_if_the_server_is_willing() {
        let mode = |url: &str| {
            let url = match dormouse_config::JournalUrl::from_str(url).unwrap() {
                dormouse_config::JournalUrl::Postgres(url) => url,
                other => panic!("{other} is no URL of PostgreSQL"),
            };
            let limits = dormouse_config::Config::embedded().journal.postgres;
            Server::new(&url, &limits).unwrap().options.get_ssl_mode()
        };
        for here in ["127.0.0.1:5432", "localhost", "[::1]:5432"] {
            assert!(matches!(mode(&format!("postgres://{here}/shop")), PgSslMode::Disable), "{here}");
        }
        assert!(matches!(mode("postgres://app@10.1.2.3/shop"), PgSslMode::Prefer));
        assert!(matches!(mode("postgres://app@db.internal/shop?application_name=sslmode"), PgSslMode::Prefer));
        assert!(matches!(mode("postgres://app@db.internal/shop?sslmode=verify-full"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://app@127.0.0.1/shop?sslmode=require"), PgSslMode::Require));
        assert!(matches!(mode("postgres:///shop?host=/run/postgresql"), PgSslMode::Disable));
    }
}
