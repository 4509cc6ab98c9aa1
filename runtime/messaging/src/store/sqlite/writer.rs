//! The task that writes: all writes that arrive during a transaction are in the next one, and share its sync.

use std::sync::{Mutex, PoisonError};

use dormouse_kernel::Epoch;
use dormouse_storage::sqlite::{error, make_durable};
use dormouse_storage::{Error as Problem, from_sql, to_sql};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::warn;

use super::failed;
use super::statement::Statement;
use crate::store::Error;

/// Writes that wait. A consumer has one commit at a time, so this is more than there are consumers; past it, callers
/// wait to be queued.
const QUEUED: usize = 256;

/// Writes in one transaction.
const GROUP: usize = 64;

/// Sends writes to the task, and stops it.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` once it is closed.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Request {
    work: Work,
    answer: Answer,
}

#[derive(Debug)]
enum Work {
    Acquire(Epoch),
    Write(Vec<Statement>),
}

type Answer = oneshot::Sender<Result<(), Error>>;

/// Writes of one transaction, and those who wait for them.
#[derive(Default)]
struct Group {
    writes: Vec<Vec<Statement>>,
    answers: Vec<Answer>,
}

impl Writer {
    pub(super) fn start(options: SqliteConnectOptions) -> Self {
        let (requests, arriving) = mpsc::channel(QUEUED);
        let task = Task { options, connection: None, is_suspect: false, acquired: None };
        let task = Mutex::new(Some(tokio::spawn(task.run(arriving))));
        Self { requests: Mutex::new(Some(requests)), task }
    }

    pub(super) async fn acquire(&self, epoch: Epoch) -> Result<(), Error> {
        self.ask(Work::Acquire(epoch)).await
    }

    /// Carries these statements out, all or none.
    pub(super) async fn write(&self, statements: Vec<Statement>) -> Result<(), Error> {
        self.ask(Work::Write(statements)).await
    }

    async fn ask(&self, work: Work) -> Result<(), Error> {
        let closed = || Error::Storage(Problem::Unavailable("the queues are closed".to_owned()));
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (answer, answered) = oneshot::channel();
        let sent = requests.ok_or_else(closed)?.send(Request { work, answer }).await;
        sent.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Waits for the writes that are queued, and closes the connection.
    pub(super) async fn close(&self) {
        drop(self.requests.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A panic of the task was reported to those whose writes it had.
            let _ended = task.await;
        }
    }
}

/// Has the connection that writes.
struct Task {
    options: SqliteConnectOptions,
    /// `None` before the first write, and after an error.
    connection: Option<SqliteConnection>,
    /// Set after an error at a commit: the WAL may hold frames that are not on the disk although they can be read.
    is_suspect: bool,
    acquired: Option<Epoch>,
}

impl Task {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut arrived = Vec::with_capacity(GROUP);
        while requests.recv_many(&mut arrived, GROUP).await > 0 {
            let mut group = Group::default();
            for Request { work, answer } in arrived.drain(..) {
                match work {
                    Work::Write(statements) => {
                        group.writes.push(statements);
                        group.answers.push(answer);
                    }
                    Work::Acquire(epoch) => {
                        self.write_group(std::mem::take(&mut group)).await;
                        // A caller that has gone needs no answer.
                        let _gone = answer.send(self.acquire(epoch).await);
                    }
                }
            }
            self.write_group(group).await;
        }
        self.close().await;
    }

    /// Writes a group in one transaction. If that fails, each write is tried alone, so that one with damaged rows fails
    /// no other. To repeat a write is safe.
    async fn write_group(&mut self, Group { writes, answers }: Group) {
        if writes.is_empty() {
            return;
        }
        let together = self.write(&writes).await;
        let is_shared = writes.len() == 1 || matches!(together, Ok(()) | Err(Error::Fenced));
        for (write, answer) in writes.chunks(1).zip(answers) {
            let result = if is_shared { together.clone() } else { self.write(write).await };
            // A caller that has gone needs no answer.
            let _gone = answer.send(result);
        }
    }

    async fn write(&mut self, writes: &[Vec<Statement>]) -> Result<(), Error> {
        let Some(acquired) = self.acquired else { return Err(Error::Fenced) };
        let (mut connection, epoch) = self.begin().await?;
        if epoch != acquired {
            return self.roll_back(connection).await;
        }
        // From here on an error drops the connection, and so rolls the transaction back.
        for statements in writes {
            for statement in statements {
                statement.execute(&mut connection).await.map_err(failed)?;
            }
        }
        self.commit(connection).await
    }

    async fn acquire(&mut self, epoch: Epoch) -> Result<(), Error> {
        let (mut connection, found) = self.begin().await?;
        if found > epoch {
            return self.roll_back(connection).await;
        }
        let raise = sqlx::query("UPDATE owner SET epoch = ?1").bind(to_sql(epoch.0));
        raise.execute(&mut connection).await.map_err(failed)?;
        self.commit(connection).await?;
        self.acquired = Some(epoch);
        Ok(())
    }

    /// Begins a transaction. Returns its connection, and the epoch that is in force.
    async fn begin(&mut self) -> Result<(SqliteConnection, Epoch), Problem> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(failed)?,
        };
        if self.is_suspect {
            make_durable(&mut connection).await?;
            self.is_suspect = false;
        }
        let epochs = sqlx::query_scalar("BEGIN IMMEDIATE; SELECT epoch FROM owner").fetch_all(&mut connection);
        let epochs: Vec<i64> = epochs.await.map_err(failed)?;
        let [epoch] = epochs[..] else {
            return Err(Problem::Damaged(format!("the table owner has {} rows", epochs.len())));
        };
        Ok((connection, Epoch(from_sql(epoch, "owner.epoch")?)))
    }

    async fn commit(&mut self, mut connection: SqliteConnection) -> Result<(), Error> {
        if let Err(failure) = sqlx::query("COMMIT").execute(&mut connection).await {
            self.is_suspect = true;
            return Err(failed(failure).into());
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Another store has acquired a higher epoch.
    async fn roll_back(&mut self, mut connection: SqliteConnection) -> Result<(), Error> {
        sqlx::query("ROLLBACK").execute(&mut connection).await.map_err(failed)?;
        self.connection = Some(connection);
        Err(Error::Fenced)
    }

    /// Copies the WAL into the file, and closes it.
    async fn close(self) {
        let Some(mut connection) = self.connection else { return };
        // Frames that stay in the WAL are durable too; the next start only takes longer.
        if let Err(failure) = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await {
            warn!(error = error::reason(&failure), "cannot empty the write-ahead log of the queues");
        }
        let _closed_anyway = connection.close().await;
    }
}
