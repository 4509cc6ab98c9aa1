//! Servers that follow the one that is written to, the primary: which of them may be asked in its place.
//!
//! A replica is behind, and nobody can say by how much at this moment. So it is looked at once a second, and whoever
//! asks it for something checks the answer: what is too old, or does not come, is asked again at the primary.
//!
//! Background tasks: one for each replica, which looks at it; they end with [`Replicas::close`], or when it is dropped.

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
use super::sessions::{Asking, Sessions};
use crate::metric;

/// How long a replica is left alone between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// A replica that takes longer is no relief for anybody: the primary is asked instead.
const ANSWER: Duration = Duration::from_millis(500);

/// A replica that is so many events behind will not have what readers want for a while. It is the number from which a
/// view counts as out of date.
const BEHIND: u64 = 1_000;

/// Which database this is, of which cluster, and whether it follows another.
const WHO: &str = "
    SELECT system_identifier::text || '/' || current_database(), pg_is_in_recovery() FROM pg_control_system()";

/// What is looked at in replicas.
pub trait Follow: Debug + Send + Sync + 'static {
    /// How far a replica is.
    type Seen: Debug + Default + Send + Sync + 'static;

    /// What it is that the replicas have a copy of: a label of metrics.
    const WHAT: &'static str;

    /// Asks a replica how far it is.
    fn look(connection: &mut PgConnection) -> Asking<'_, Self::Seen>;

    /// How many of the events that are known it does not have.
    fn lag(&self, seen: &Self::Seen) -> u64;
}

/// How a replica does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Where it is, its password masked.
    pub place: String,
    /// How many events it was behind when it answered last.
    pub lag: Option<u64>,
    /// Why it is not asked; `None` if it is.
    pub problem: Option<String>,
}

/// Replicas of one primary.
#[derive(Debug)]
pub struct Replicas<F: Follow> {
    replicas: Vec<Arc<Replica<F>>>,
    turn: AtomicUsize,
    watches: Mutex<JoinSet<()>>,
}

/// One of them.
#[derive(Debug)]
pub struct Replica<F: Follow> {
    place: String,
    primary: String,
    sessions: Sessions,
    /// Apart, so that it is looked at while many read.
    watch: Sessions,
    last: Mutex<Last<F::Seen>>,
}

/// What is known of a replica.
#[derive(Debug, Default)]
struct Last<S> {
    seen: S,
    lag: Option<u64>,
    problem: Option<String>,
    /// Whether it may be asked for what it is not known to have. Once: if that is in vain, then not again before
    /// somebody has looked.
    may_be_tried: bool,
}

/// Which database a connection is to; a replica has the same.
///
/// # Errors
/// If the server does not say.
pub async fn identity(connection: &mut PgConnection) -> Result<String, Failure> {
    let (identity, _): (String, bool) = query_as(WHO).fetch_one(connection).await?;
    Ok(identity)
}

impl<F: Follow> Replicas<F> {
    /// Follows the replicas of a primary with this [`identity`], each with at most `max` connections for `purpose`. None
    /// of them needs to be there yet.
    #[must_use]
    pub fn new(servers: Vec<(String, Server)>, primary: &str, purpose: Purpose, max: u32, follow: &Arc<F>) -> Self {
        let mut watches = JoinSet::new();
        let replica = |(place, server): (String, Server)| {
            let replica = Arc::new(Replica {
                place,
                primary: primary.to_owned(),
                sessions: Sessions::kept(server.clone(), purpose, max),
                watch: Sessions::new(server, purpose, 1),
                last: Mutex::new(Last {
                    seen: F::Seen::default(),
                    lag: None,
                    problem: Some("nobody has looked at it yet".to_owned()),
                    may_be_tried: false,
                }),
            });
            watches.spawn(watch(Arc::clone(&replica), Arc::clone(follow)));
            replica
        };
        let replicas = servers.into_iter().map(replica).collect();
        Self { replicas, turn: AtomicUsize::new(0), watches: Mutex::new(watches) }
    }

    /// The next replica, by turns, that is known to have what is wanted.
    pub fn next_that(&self, has_it: impl Fn(&F::Seen) -> bool) -> Option<&Replica<F>> {
        self.by_turns(|last| has_it(&last.seen))
    }

    /// The next replica, by turns, that has what is wanted, or may be tried once whether it has.
    pub fn next_to_try(&self, has_it: impl Fn(&F::Seen) -> bool) -> Option<&Replica<F>> {
        self.by_turns(|last| has_it(&last.seen) || std::mem::take(&mut last.may_be_tried))
    }

    fn by_turns(&self, is_wanted: impl Fn(&mut Last<F::Seen>) -> bool) -> Option<&Replica<F>> {
        let count = self.replicas.len();
        let turn = if count > 1 { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let mut by_turns = (0..count).map(|number| &*self.replicas[turn.wrapping_add(number) % count]);
        by_turns.find(|replica| {
            let mut last = replica.last();
            last.problem.is_none() && is_wanted(&mut last)
        })
    }

    /// How all of them do.
    #[must_use]
    pub fn statuses(&self) -> Vec<ReplicaStatus> {
        let status = |replica: &Arc<Replica<F>>| {
            let last = replica.last();
            ReplicaStatus { place: replica.place.clone(), lag: last.lag, problem: last.problem.clone() }
        };
        self.replicas.iter().map(status).collect()
    }

    /// Looks at none any more, and lets go of the connections.
    pub async fn close(&self) {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        for replica in &self.replicas {
            tokio::join!(replica.sessions.close(), replica.watch.close());
        }
    }
}

impl<F: Follow> Replica<F> {
    /// Asks for something. `None`: it brought nothing, and is not asked again before somebody has looked at it.
    pub async fn ask<A: Sync, T>(
        &self,
        about: A,
        question: for<'q> fn(&'q mut PgConnection, &'q A) -> Asking<'q, T>,
    ) -> Option<T> {
        match in_time(self.sessions.ask(about, question)).await {
            Ok(answer) => Some(answer),
            Err(failure) => {
                self.is_in_trouble(failure.into_reason());
                None
            }
        }
    }

    /// An answer has shown how far it is: far enough, or not.
    pub fn has_shown(&self, is_enough: bool, note: impl FnOnce(&mut F::Seen)) {
        let mut last = self.last();
        note(&mut last.seen);
        last.may_be_tried = is_enough;
    }

    async fn look(&self, follow: &F) {
        let found = in_time(self.watch.ask((), |connection, ()| {
            Box::pin(async move {
                let (identity, follows): (String, bool) = query_as(WHO).fetch_one(&mut *connection).await?;
                // What is no replica need not have what would be looked at.
                let seen = if follows { Some(F::look(connection).await?) } else { None };
                Ok((identity, seen))
            })
        }));
        match found.await {
            Ok((identity, _)) if identity != self.primary => {
                self.is_in_trouble("it is another database, or another server's".to_owned());
            }
            Ok((_, None)) => self.is_in_trouble("it follows nobody any more".to_owned()),
            Ok((_, Some(seen))) => self.is_there(follow.lag(&seen), seen),
            Err(failure) => self.is_in_trouble(failure.into_reason()),
        }
        let (lag, is_fit) = {
            let last = self.last();
            (last.lag, last.problem.is_none())
        };
        gauge!(metric::REPLICA_FIT, "of" => F::WHAT, "replica" => self.place.clone()).set(f64::from(u8::from(is_fit)));
        if let Some(lag) = lag {
            gauge!(metric::REPLICA_LAG, "of" => F::WHAT, "replica" => self.place.clone()).set(lag as f64);
        }
    }

    fn is_there(&self, lag: u64, seen: F::Seen) {
        let problem = (lag > BEHIND).then(|| format!("it is {lag} events behind"));
        let mut last = self.last();
        match (&last.problem, &problem) {
            (Some(_), None) => info!(replica = self.place, of = F::WHAT, lag, "a replica is read"),
            (None, Some(reason)) => warn!(replica = self.place, of = F::WHAT, reason, "a replica is not read any more"),
            _ => {}
        }
        *last = Last { seen, lag: Some(lag), problem, may_be_tried: true };
    }

    fn is_in_trouble(&self, reason: String) {
        let mut last = self.last();
        if last.problem.is_none() {
            warn!(replica = self.place, of = F::WHAT, reason, "a replica is not read any more");
        }
        *last = Last { seen: F::Seen::default(), lag: None, problem: Some(reason), may_be_tried: false };
    }

    fn last(&self) -> MutexGuard<'_, Last<F::Seen>> {
        // Every change is a single step.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn in_time<T>(asking: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(ANSWER, asking).await.unwrap_or_else(|_| Err(Failure::no_answer_within(ANSWER)))
}

/// Runs until it is aborted.
async fn watch<F: Follow>(replica: Arc<Replica<F>>, follow: Arc<F>) {
    loop {
        replica.look(&follow).await;
        sleep(INTERVAL).await;
    }
}
