//! The thread that commits: the writer of the journal and its index have a runtime of their own.
//!
//! Whoever submits to the writer wakes it, and a task that was woken last on a thread of tokio's runs there next, and
//! nowhere else. Were that the thread of an aggregate that goes on to loop, nobody's command would be committed until
//! the loop ends.

use std::io;
use std::panic::resume_unwind;

use dormouse_config::Config;
use dormouse_journal::{Journal, OpenError};
use tokio::runtime::{Builder, Runtime};

#[derive(Debug)]
pub(super) struct JournalThread {
    /// Taken when it ends.
    runtime: Option<Runtime>,
}

impl JournalThread {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("journal").enable_all().build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Opens the journal, whose tasks stay on this thread.
    pub(super) async fn open(&self, config: &Config) -> Result<Journal, OpenError> {
        let Some(runtime) = &self.runtime else { unreachable!("it ends by value") };
        let config = config.clone();
        let opening = runtime.spawn(async move { dormouse_journal::open(&config).await });
        opening.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    /// Ends it, when the journal is closed.
    pub(super) fn end(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for JournalThread {
    /// The journal goes on for as long as somebody has it: an application that is dropped leaves its engine to itself.
    fn drop(&mut self) {
        std::mem::forget(self.runtime.take());
    }
}
