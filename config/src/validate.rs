//! The rules that types cannot express: ranges, and values that must fit together.

mod network;
mod queues;

use std::fmt::Display;
use std::time::Duration;

use bytesize::ByteSize;

use self::network::AUTH_MODE;
use self::queues::QUEUE_KEYS;
use crate::{Config, Encryption, JournalUrl};

/// There are 1024 slices, which never changes, and a shard has at least one.
const SHARDS_MAX: u32 = 1024;

/// The widest append statement that is prepared for SQLite. Wider ones were not faster.
const BATCH_EVENTS_MAX: usize = 1024;

/// Payload and log row must be far below the limit of a value in SQLite and PostgreSQL (1 GB).
const EVENT_SIZE_MAX: ByteSize = ByteSize::mib(256);

/// The most events that a batch of a projection may have in memory. More than 8,192 were not faster.
const PROJECTED_EVENTS_MAX: usize = 65_536;

/// The same in bytes.
const PROJECTED_BYTES_MAX: ByteSize = ByteSize::mib(256);

/// Durations are added to the time of the clock, which overflows after some centuries.
const DURATION_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// PostgreSQL counts its timeouts in milliseconds as a 32-bit integer, and 0 switches them off.
const POSTGRES_TIMEOUT_MIN: Duration = Duration::from_millis(1);
const POSTGRES_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 86_400);

/// A rule that a configuration breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: expected {expected}{}", other.map(|key| format!(" {key}")).unwrap_or_default())]
pub struct Violation {
    /// The key to change.
    pub key: &'static str,
    /// What its value should be, in relation to `other` if that is set.
    pub expected: String,
    /// The key that it must fit.
    pub other: Option<&'static str>,
}

impl Violation {
    /// Lines of a configuration file that mend it, if there are some that fit everybody.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        (self.key == AUTH_MODE).then_some(
            r#"[auth]
mode = "jwt"
jwt = { issuer = "https://login.example.org", audience = ["NAME"], jwks = "https://login.example.org/keys" }"#,
        )
    }
}

impl Config {
    /// Checks the rules that types cannot express. [`load`](crate::load) calls it. Call it after changing values in
    /// code.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), Violation> {
        self.validate_durations()?;
        self.validate_gateway()?;
        self.validate_auth()?;
        self.validate_audit()?;
        self.validate_journal()?;
        self.validate_keys()?;
        self.validate_engine()?;
        self.validate_read_side()?;
        self.validate_queues()?;
        self.validate_outside()?;
        self.validate_hosting()?;
        self.validate_cache()
    }

    /// Checks every duration before they are compared, so that the error names the one that is out of bounds.
    fn validate_durations(&self) -> Result<(), Violation> {
        let Self { gateway, commands, snapshots, passivation, projections, views, cache, supervision, .. } = self;
        let postgres = &self.journal.postgres;
        let durations = [
            ("gateway.header_timeout", gateway.header_timeout),
            ("gateway.request_timeout", gateway.request_timeout),
            ("gateway.unready_for", gateway.unready_for),
            ("gateway.drain_timeout", gateway.drain_timeout),
            ("gateway.stream_heartbeat", gateway.stream_heartbeat),
            ("gateway.tls.handshake_timeout", gateway.tls.handshake_timeout),
            ("gateway.tls.hsts", gateway.tls.hsts),
            ("auth.jwt.leeway", self.auth.jwt.leeway),
            ("auth.telegram.max_age", self.auth.telegram.max_age),
            ("auth.telegram.token_lifetime", self.auth.telegram.token_lifetime),
            ("journal.postgres.idle_timeout", postgres.idle_timeout),
            ("journal.takeover_timeout", self.journal.takeover_timeout),
            ("journal.postgres.connect_timeout", postgres.connect_timeout),
            ("journal.postgres.statement_timeout", postgres.statement_timeout),
            ("journal.postgres.lock_timeout", postgres.lock_timeout),
            ("snapshots.replay_budget", snapshots.replay_budget),
            ("snapshots.max_age", snapshots.max_age),
            ("commands.timeout", commands.timeout),
            ("commands.slow_after", commands.slow_after),
            ("passivation.idle_after", passivation.idle_after),
            ("passivation.sweep_interval", passivation.sweep_interval),
            ("projections.stalled_after", projections.stalled_after),
            ("views.wait_timeout", views.wait_timeout),
            ("views.slow_after", views.slow_after),
            ("views.max_age", views.max_age),
            ("cache.ttl", cache.ttl),
            ("supervision.window", supervision.window),
            ("webhooks.timeout", self.webhooks.timeout),
            ("runtime.time_carried_max", self.runtime.time_carried_max),
            ("projections.batch_interval", projections.batch_interval),
            ("supervision.backoff_min", supervision.backoff_min),
            ("supervision.backoff_max", supervision.backoff_max),
            ("hosting.command_timeout", self.hosting.command_timeout),
            ("messages.backoff_min", self.messages.backoff_min),
            ("messages.backoff_max", self.messages.backoff_max),
            ("messages.timeout", self.messages.timeout),
        ];
        let queues = self.queues.named().into_iter().zip(&QUEUE_KEYS).flat_map(|((_, queue), keys)| {
            [
                (keys.backoff_min, queue.backoff_min),
                (keys.backoff_max, queue.backoff_max),
                (keys.timeout, queue.timeout),
            ]
        });
        match durations.into_iter().chain(queues).find(|(_, value)| *value > DURATION_MAX) {
            Some((key, _)) => Err(Violation { key, expected: "at most 3650d".to_owned(), other: None }),
            None => Ok(()),
        }
    }

    fn validate_keys(&self) -> Result<(), Violation> {
        let need_keys = [
            ("journal.encryption", self.journal.encryption != Encryption::Off),
            ("auth.telegram.hide_ids", self.auth.telegram.hide_ids),
        ];
        if self.keys.file().is_none()
            && let Some((other, _)) = need_keys.into_iter().find(|(_, needs)| *needs)
        {
            let expected = "a file with wrapping keys (`dormouse encryption add-key` makes it), because of".to_owned();
            return Err(Violation { key: "keys.file", expected, other: Some(other) });
        }
        if let (JournalUrl::Sqlite(keys), JournalUrl::Sqlite(journal)) = (&self.keys.url, &self.journal.url)
            && keys == journal
        {
            let expected = "another directory than".to_owned();
            return Err(Violation { key: "keys.url", expected, other: Some("journal.url") });
        }
        Ok(())
    }

    fn validate_journal(&self) -> Result<(), Violation> {
        let journal = &self.journal;
        within("journal.batch_events", journal.batch_events.get(), 1, BATCH_EVENTS_MAX)?;
        at_least(
            ("journal.index_tail_events", journal.index_tail_events),
            ("journal.batch_events", journal.batch_events),
        )?;
        within("journal.event_size_max", journal.event_size_max, ByteSize::b(1), EVENT_SIZE_MAX)?;
        at_least(("journal.index_tail", journal.index_tail), ("journal.event_size_max", journal.event_size_max))?;

        postgres_if_any("journal.replicas", journal.replicas.len(), ("journal.url", &journal.url))?;
        let postgres = &journal.postgres;
        at_most(
            ("journal.postgres.connections_min", postgres.connections_min),
            ("journal.postgres.connections_max", postgres.connections_max.get()),
        )?;
        some_time("journal.postgres.idle_timeout", postgres.idle_timeout)?;
        some_time("journal.postgres.connect_timeout", postgres.connect_timeout)?;
        postgres_timeout("journal.postgres.statement_timeout", postgres.statement_timeout)?;
        postgres_timeout("journal.postgres.lock_timeout", postgres.lock_timeout)?;
        at_most(
            ("journal.postgres.lock_timeout", postgres.lock_timeout),
            ("journal.postgres.statement_timeout", postgres.statement_timeout),
        )
    }

    fn validate_engine(&self) -> Result<(), Violation> {
        some_time("snapshots.replay_budget", self.snapshots.replay_budget)?;
        some_time("snapshots.max_age", self.snapshots.max_age)?;
        some_time("commands.timeout", self.commands.timeout)?;
        at_most(
            ("admission.per_aggregate", self.admission.per_aggregate),
            ("admission.per_node", self.admission.per_node),
        )?;
        within("runtime.shards", self.runtime.shards.get(), 1, SHARDS_MAX)?;
        some_time("passivation.sweep_interval", self.passivation.sweep_interval)?;
        some_time("supervision.window", self.supervision.window)?;
        some_time("supervision.backoff_min", self.supervision.backoff_min)?;
        at_most(
            ("supervision.backoff_min", self.supervision.backoff_min),
            ("supervision.backoff_max", self.supervision.backoff_max),
        )
    }

    fn validate_read_side(&self) -> Result<(), Violation> {
        let Self { views, projections, .. } = self;
        postgres_if_any("views.replicas", views.replicas.len(), ("views.url", views.url.place(&self.journal.url)))?;
        within("projections.batch_events", projections.batch_events.get(), 1, PROJECTED_EVENTS_MAX)?;
        within("projections.batch_bytes", projections.batch_bytes, ByteSize::b(1), PROJECTED_BYTES_MAX)?;
        some_time("projections.stalled_after", projections.stalled_after)?;
        at_most(
            ("projections.batch_interval", projections.batch_interval),
            ("projections.stalled_after", projections.stalled_after),
        )
    }

    fn validate_cache(&self) -> Result<(), Violation> {
        some_time("cache.ttl", self.cache.ttl)?;
        some_bytes("cache.size", self.cache.size)
    }
}

/// Only PostgreSQL has replicas.
fn postgres_if_any(key: &'static str, replicas: usize, of: (&'static str, &JournalUrl)) -> Result<(), Violation> {
    if replicas == 0 || of.1.postgres_url().is_some() {
        return Ok(());
    }
    Err(Violation { key, expected: "none without PostgreSQL in".to_owned(), other: Some(of.0) })
}

fn at_most<T: PartialOrd>(value: (&'static str, T), limit: (&'static str, T)) -> Result<(), Violation> {
    if value.1 <= limit.1 {
        return Ok(());
    }
    Err(Violation { key: value.0, expected: "at most".to_owned(), other: Some(limit.0) })
}

fn at_least<T: PartialOrd>(value: (&'static str, T), limit: (&'static str, T)) -> Result<(), Violation> {
    if value.1 >= limit.1 {
        return Ok(());
    }
    Err(Violation { key: value.0, expected: "at least".to_owned(), other: Some(limit.0) })
}

fn within<T: PartialOrd + Display>(key: &'static str, value: T, least: T, most: T) -> Result<(), Violation> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(Violation { key, expected: format!("{least} to {most}"), other: None })
}

fn some_time(key: &'static str, value: Duration) -> Result<(), Violation> {
    if !value.is_zero() {
        return Ok(());
    }
    Err(Violation { key, expected: "a duration longer than zero".to_owned(), other: None })
}

fn some_bytes(key: &'static str, value: ByteSize) -> Result<(), Violation> {
    if value > ByteSize::b(0) {
        return Ok(());
    }
    Err(Violation { key, expected: "a size larger than zero".to_owned(), other: None })
}

fn postgres_timeout(key: &'static str, value: Duration) -> Result<(), Violation> {
    if (POSTGRES_TIMEOUT_MIN..=POSTGRES_TIMEOUT_MAX).contains(&value) {
        return Ok(());
    }
    Err(Violation { key, expected: "1ms to 24d".to_owned(), other: None })
}
