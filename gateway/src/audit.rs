//! The audit log of a server, from its start to its end. What requests are recorded, `http/audit.rs` says.

use std::net::SocketAddr;
use std::time::Duration;

use dormouse_audit::{Action, AuditLog, Entry, OpenError, Outcome, Who};
use dormouse_auth::{ApiKeyChanges, Authenticator};
use dormouse_config::Audit;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tracing::{error, info};

/// The time between two heads in the server's log. Who collects the log has them elsewhere, and can show later that
/// nothing was cut from the audit log.
const HEAD_EVERY: Duration = Duration::from_secs(3600);

/// How long an entry is waited for. A disk that takes longer is stalled: it must not hold up a start or a stop, and an
/// operator's client should be told so before it gives up.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the log. `None`: the server keeps none.
pub(crate) async fn open(config: &Audit) -> Result<Option<AuditLog>, OpenError> {
    if !config.enabled {
        return Ok(None);
    }
    let Audit { directory, key, max_size, .. } = config.clone();
    let at = directory.clone();
    let opened = spawn_blocking(move || AuditLog::open(&directory, &key, max_size.as_u64())).await;
    opened.unwrap_or_else(|error| Err(OpenError::Io { path: at, source: error.into() })).map(Some)
}

/// Records that the server serves. It serves also if that fails: only changes by operators need the log.
pub(crate) async fn record_start(log: &AuditLog, address: SocketAddr) {
    let entry = Entry::new(Action::ServerStarted, Who::default(), Outcome::Done);
    record_or_log(log, entry.with("address", address).with("version", env!("CARGO_PKG_VERSION"))).await;
    tell_head(log);
}

/// Records that the server stops, and closes the log.
pub(crate) async fn record_stop(log: &AuditLog, is_complete: bool) {
    let outcome = if is_complete { Outcome::Done } else { Outcome::Failed };
    record_or_log(log, Entry::new(Action::ServerStopped, Who::default(), outcome)).await;
    let _closed = timeout(RECORD_TIMEOUT, log.close()).await;
    tell_head(log);
}

/// Notes that the certificate and the keys are read again.
pub(crate) fn note_reload(log: &AuditLog) {
    log.note(Entry::new(Action::Reloaded, Who::default(), Outcome::Done));
}

/// Notes changes of the API keys while the server runs.
pub(crate) fn follow_keys(log: &AuditLog, authenticator: &Authenticator) {
    let log = log.clone();
    authenticator.on_key_changes(move |ApiKeyChanges { added, removed, changed }| {
        let entry = Entry::new(Action::ApiKeysChanged, Who::default(), Outcome::Done);
        let named = [("added", added), ("removed", removed), ("changed", changed)];
        let named = named.into_iter().filter(|(_, ids)| !ids.is_empty());
        log.note(named.fold(entry, |entry, (name, ids)| entry.with(name, ids.join(" "))));
    });
}

/// Writes the head into the server's log once an hour. Does not return.
pub(crate) async fn tell_heads(log: AuditLog) {
    let mut ticks = interval_at(Instant::now() + HEAD_EVERY, HEAD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell_head(&log);
    }
}

fn tell_head(log: &AuditLog) {
    info!(head = %log.head(), "the head of the audit log");
}

/// Records an entry.
///
/// # Errors
/// Why it is not known to be durable.
pub(crate) async fn record(log: &AuditLog, entry: Entry) -> Result<(), String> {
    match timeout(RECORD_TIMEOUT, log.record(entry)).await {
        Ok(recorded) => recorded.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err(format!("the audit log takes longer than {RECORD_TIMEOUT:?}")),
    }
}

async fn record_or_log(log: &AuditLog, entry: Entry) {
    let action = entry.action;
    if let Err(reason) = record(log, entry).await {
        error!(reason, %action, "the audit log cannot be written");
    }
}
