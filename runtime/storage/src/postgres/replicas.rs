//! Replicas of the primary, which is the server that is written to: which of them may be read in its place.
//!
//! A replica is behind by an amount that cannot be known at the moment of a read. So each replica is probed once a
//! second, and a caller that reads from one checks the result: if it is too old or missing, the caller reads from the
//! primary.
//!
//! Background tasks: `watch`, one for each replica; they end with [`Replicas::close`], or when the replicas are
//! dropped.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::gauge;
use sqlx::{PgConnection, query_as};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::failure::Failure;
use super::server::{Purpose, Server};
use super::sessions::{QueryFuture, Sessions};
use crate::metric;

/// The time between two probes of a replica.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// A replica that takes longer saves nothing: the primary is read instead.
const REPLY_LIMIT: Duration = Duration::from_millis(500);

/// A replica that is more events behind will not have what readers want for a while. The same number makes a view count
/// as out of date.
const LAG_LIMIT: u64 = 1_000;

/// The cluster and the name of the database, and whether the server follows another.
const IDENTITY: &str = "
    SELECT system_identifier::text || '/' || current_database(), pg_is_in_recovery() FROM pg_control_system()";

/// What a probe of a replica reads.
pub trait ReplicaProbe: Debug + Send + Sync + 'static {
    /// How far a replica is, as a probe finds it.
    type Progress: Debug + Default + Send + Sync + 'static;

    /// What the replicas have a copy of: a label of metrics.
    const SUBJECT: &'static str;

    /// Reads how far a replica is.
    fn probe(connection: &mut PgConnection) -> QueryFuture<'_, Self::Progress>;

    /// How many of the known events a replica lacks.
    fn lag(&self, progress: &Self::Progress) -> u64;
}

/// The status of a replica, for health and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Its URL, with the password masked.
    pub place: String,
    /// How many events it was behind when it was last probed with success.
    pub lag: Option<u64>,
    /// Why it is not read; `None` if it is read.
    pub problem: Option<String>,
}

/// Replicas of one primary.
#[derive(Debug)]
pub struct Replicas<F: ReplicaProbe> {
    replicas: Vec<Arc<Replica<F>>>,
    /// Counts reads, so that replicas are read in rotation.
    reads: AtomicUsize,
    watches: Mutex<JoinSet<()>>,
}

/// One replica.
#[derive(Debug)]
pub struct Replica<F: ReplicaProbe> {
    place: String,
    primary: String,
    sessions: Sessions,
    /// Apart from the readers' sessions, so that probes need not wait for readers.
    probes: Sessions,
    known: Mutex<Known<F::Progress>>,
}

/// What is known of a replica.
#[derive(Debug, Default)]
struct Known<P> {
    progress: P,
    lag: Option<u64>,
    problem: Option<String>,
    /// Whether one read may ask for what the replica is not known to have. If the replica does not have it, no other
    /// such read is tried until the next probe.
    may_be_tried: bool,
}

/// The identity of the database that a connection leads to. A replica has that of its primary.
///
/// # Errors
/// If the server does not answer the query.
pub async fn identity(connection: &mut PgConnection) -> Result<String, Failure> {
    let (identity, _): (String, bool) = query_as(IDENTITY).fetch_one(connection).await?;
    Ok(identity)
}

impl<F: ReplicaProbe> Replicas<F> {
    /// Starts to probe the replicas of a primary with this [`identity`], each with at most `max` connections for
    /// `purpose`. None of them needs to be reachable yet.
    #[must_use]
    pub fn new(servers: Vec<(String, Server)>, primary: &str, purpose: Purpose, max: u32, probe: &Arc<F>) -> Self {
        let mut watches = JoinSet::new();
        let replica = |(place, server): (String, Server)| {
            let replica = Arc::new(Replica {
                place,
                primary: primary.to_owned(),
                sessions: Sessions::kept(server.clone(), purpose, max),
                probes: Sessions::new(server, purpose, 1),
                known: Mutex::new(Known {
                    progress: F::Progress::default(),
                    lag: None,
                    problem: Some("the replica has not been probed yet".to_owned()),
                    may_be_tried: false,
                }),
            });
            watches.spawn(watch(Arc::clone(&replica), Arc::clone(probe)));
            replica
        };
        let replicas = servers.into_iter().map(replica).collect();
        Self { replicas, reads: AtomicUsize::new(0), watches: Mutex::new(watches) }
    }

    /// The next replica in rotation that is known to have what is wanted.
    pub fn next_with(&self, has_it: impl Fn(&F::Progress) -> bool) -> Option<&Replica<F>> {
        self.next(|known| has_it(&known.progress))
    }

    /// The next replica in rotation that is known to have what is wanted, or that may be tried once.
    pub fn next_to_try(&self, has_it: impl Fn(&F::Progress) -> bool) -> Option<&Replica<F>> {
        self.next(|known| has_it(&known.progress) || std::mem::take(&mut known.may_be_tried))
    }

    fn next(&self, is_wanted: impl Fn(&mut Known<F::Progress>) -> bool) -> Option<&Replica<F>> {
        let count = self.replicas.len();
        let first = if count > 1 { self.reads.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let mut rotated = (0..count).map(|number| &*self.replicas[first.wrapping_add(number) % count]);
        rotated.find(|replica| {
            let mut known = replica.known();
            known.problem.is_none() && is_wanted(&mut known)
        })
    }

    /// The status of each replica.
    #[must_use]
    pub fn statuses(&self) -> Vec<ReplicaStatus> {
        let status = |replica: &Arc<Replica<F>>| {
            let known = replica.known();
            ReplicaStatus { place: replica.place.clone(), lag: known.lag, problem: known.problem.clone() }
        };
        self.replicas.iter().map(status).collect()
    }

    /// Ends the probes and closes the connections.
    pub async fn close(&self) {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        for replica in &self.replicas {
            tokio::join!(replica.sessions.close(), replica.probes.close());
        }
    }
}

impl<F: ReplicaProbe> Replica<F> {
    /// Runs a query. `None`: it failed, and the replica is not read until a probe succeeds.
    pub async fn ask<A: Sync, T>(
        &self,
        arguments: A,
        query: for<'q> fn(&'q mut PgConnection, &'q A) -> QueryFuture<'q, T>,
    ) -> Option<T> {
        match in_time(self.sessions.ask(arguments, query)).await {
            Ok(result) => Some(result),
            Err(failure) => {
                self.exclude(failure.into_reason());
                None
            }
        }
    }

    /// Notes how far a result has shown the replica to be, and whether that was far enough for its reader.
    pub fn record_progress(&self, is_enough: bool, note: impl FnOnce(&mut F::Progress)) {
        let mut known = self.known();
        note(&mut known.progress);
        known.may_be_tried = is_enough;
    }

    async fn probe(&self, probe: &F) {
        let found = in_time(self.probes.ask((), |connection, ()| {
            Box::pin(async move {
                let (identity, follows): (String, bool) = query_as(IDENTITY).fetch_one(&mut *connection).await?;
                // A server that is no replica need not have the tables that the probe reads.
                let progress = if follows { Some(F::probe(connection).await?) } else { None };
                Ok((identity, progress))
            })
        }));
        match found.await {
            Ok((identity, _)) if identity != self.primary => {
                self.exclude("it is another database, or another server's".to_owned());
            }
            Ok((_, None)) => self.exclude("it follows no other server any more".to_owned()),
            Ok((_, Some(progress))) => self.probed(probe.lag(&progress), progress),
            Err(failure) => self.exclude(failure.into_reason()),
        }
        let (lag, is_fit) = {
            let known = self.known();
            (known.lag, known.problem.is_none())
        };
        gauge!(metric::REPLICA_FIT, "of" => F::SUBJECT, "replica" => self.place.clone())
            .set(f64::from(u8::from(is_fit)));
        if let Some(lag) = lag {
            gauge!(metric::REPLICA_LAG, "of" => F::SUBJECT, "replica" => self.place.clone()).set(lag as f64);
        }
    }

    /// Notes a probe that succeeded. The replica is read from now on, unless it is too far behind.
    fn probed(&self, lag: u64, progress: F::Progress) {
        let problem = (lag > LAG_LIMIT).then(|| format!("it is {lag} events behind"));
        let mut known = self.known();
        match (&known.problem, &problem) {
            (Some(_), None) => info!(replica = self.place, of = F::SUBJECT, lag, "a replica is read"),
            (None, Some(reason)) => {
                warn!(replica = self.place, of = F::SUBJECT, reason, "a replica is not read any more")
            }
            _ => {}
        }
        *known = Known { progress, lag: Some(lag), problem, may_be_tried: true };
    }

    /// Keeps the replica from being read until a probe succeeds.
    fn exclude(&self, reason: String) {
        let mut known = self.known();
        if known.problem.is_none() {
            warn!(replica = self.place, of = F::SUBJECT, reason, "a replica is not read any more");
        }
        *known = Known { progress: F::Progress::default(), lag: None, problem: Some(reason), may_be_tried: false };
    }

    fn known(&self) -> MutexGuard<'_, Known<F::Progress>> {
        // A panic cannot leave a change half made: every change is a single assignment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn in_time<T>(query: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(REPLY_LIMIT, query).await.unwrap_or_else(|_| Err(Failure::no_reply_within(REPLY_LIMIT)))
}

/// Probes a replica until the task is aborted.
async fn watch<F: ReplicaProbe>(replica: Arc<Replica<F>>, probe: Arc<F>) {
    loop {
        replica.probe(&probe).await;
        sleep(PROBE_INTERVAL).await;
    }
}
