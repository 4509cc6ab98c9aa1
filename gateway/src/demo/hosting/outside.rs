//! What the handlers share that act on the world outside.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dormouse_aggregates::hosting::{BackupId, Milliseconds};
use dormouse_config::{Config, HostingAdapter};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::adapters::{CommandAdapter, DirectoryAdapter};
use super::ports::{Backups, Call, PortError, Provisioner, SiteOrder};
use crate::Job;

/// The adapters, and how they are called.
#[derive(Clone)]
pub(super) struct Outside {
    provisioner: Arc<dyn Provisioner>,
    backups: Arc<dyn Backups>,
    /// The longest time of a call.
    timeout: Duration,
    /// After so many attempts, the aggregate is told that it failed.
    tries: u32,
    /// Where calls run: the threads of domain code have neither network nor processes.
    runtime: Handle,
}

impl Outside {
    /// The adapter that the configuration names. Calls run on the current runtime.
    pub(super) fn from_config(config: &Config) -> Self {
        let hosting = &config.hosting;
        let (provisioner, backups): (Arc<dyn Provisioner>, Arc<dyn Backups>) = match hosting.adapter {
            HostingAdapter::Directory => {
                let adapter = Arc::new(DirectoryAdapter::new(&hosting.directory, &hosting.backups));
                (Arc::clone(&adapter) as _, adapter)
            }
            HostingAdapter::Command => {
                let adapter = Arc::new(CommandAdapter::new(&hosting.command));
                (Arc::clone(&adapter) as _, adapter)
            }
        };
        let queue = &config.queues.default;
        // The rest of an attempt's time is for telling the aggregate the result.
        let timeout = hosting.command_timeout.min(queue.timeout * 4 / 5);
        let tries = queue.tries.get();
        Self { provisioner, backups, timeout, tries, runtime: Handle::current() }
    }

    /// Whether no attempt follows this one.
    pub(super) fn is_last(&self, job: &Job) -> bool {
        job.attempt() >= self.tries
    }

    pub(super) async fn provision(&self, site: &SiteOrder, job: &Job) -> Result<(), PortError> {
        let (port, site) = (Arc::clone(&self.provisioner), site.clone());
        self.call(job, |call| async move { port.provision(&site, &call).await }).await
    }

    pub(super) async fn remove(&self, site: &SiteOrder, job: &Job) -> Result<(), PortError> {
        let (port, site) = (Arc::clone(&self.provisioner), site.clone());
        self.call(job, |call| async move { port.remove(&site, &call).await }).await
    }

    pub(super) async fn back_up(&self, backup: &BackupId, site: &SiteOrder, job: &Job) -> Result<u64, PortError> {
        let (port, backup, site) = (Arc::clone(&self.backups), backup.clone(), site.clone());
        self.call(job, |call| async move { port.make(&backup, &site, &call).await }).await
    }

    /// Runs a call to its end, at most for its time limit. It ends when this future is dropped.
    async fn call<T, F>(&self, job: &Job, call: impl FnOnce(Call) -> F) -> Result<T, PortError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PortError>> + Send + 'static,
    {
        let cancelled = job.cancelled().child_token();
        let _cancels = cancelled.clone().drop_guard();
        let future = call(Call { key: job.key().to_owned(), cancelled });
        let limit = self.timeout;
        let mut task = JoinSet::new();
        task.spawn_on(async move { timeout(limit, future).await }, &self.runtime);
        match task.join_next().await {
            Some(Ok(Ok(done))) => done,
            Some(Ok(Err(_))) => Err(PortError(format!("it took longer than {limit:?} (hosting.command_timeout)"))),
            Some(Err(error)) => Err(PortError(format!("the adapter failed: {error}"))),
            None => Err(PortError("the adapter was not called".to_owned())),
        }
    }
}

/// The time since `start`.
pub(super) fn elapsed(start: Instant) -> Milliseconds {
    let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Milliseconds::new(milliseconds).unwrap_or(Milliseconds::MAX)
}
