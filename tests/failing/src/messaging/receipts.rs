//! A handler whose effect outside is a line in a file.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use dormouse::{Event, Failure, Handle, Handler, HandlerSources, Job, Retries};

use super::transfer::Transfer;

/// The environment variable with the path of the file. Without it, the handler does nothing.
const EFFECTS: &str = "EFFECTS";

/// The first attempt fails for one event in so many.
const FAILING: usize = 7;

/// Writes a line for each attempt at an event of a transfer: key, attempt, transfer, version, and `done` or `failed`.
/// The line is durable when the attempt ends.
pub(crate) struct Receipts {
    file: Option<File>,
}

impl Receipts {
    /// # Panics
    /// If the file cannot be opened.
    pub(crate) fn from_environment() -> Self {
        let path = env::var_os(EFFECTS).map(PathBuf::from);
        let open = |path: PathBuf| {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()))
        };
        Self { file: path.map(open) }
    }
}

impl Handler for Receipts {
    const NAME: &'static str = "receipts";

    fn retries() -> Option<Retries> {
        Some(Retries { tries: 10, pause: Duration::from_millis(60) })
    }

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Transfer>()
    }
}

impl Handle<Transfer> for Receipts {
    async fn handle(&self, event: &Event<'_, Transfer>, job: &Job) -> Result<(), Failure> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        let (id, version) = (event.id().as_str(), event.version().0);
        let number = id.bytes().map(usize::from).sum::<usize>() + version as usize;
        let fails = job.attempt() == 1 && number.is_multiple_of(FAILING);
        let end = if fails { "failed" } else { "done" };
        // One write, so that lines of jobs at the same time do not mix.
        let line = format!("{} {} {id} {version} {end}\n", job.key(), job.attempt());
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        if fails { Err(Failure::new("the first attempt fails")) } else { Ok(()) }
    }
}
