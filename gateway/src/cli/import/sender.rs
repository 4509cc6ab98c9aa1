//! Sends lines in bulk requests, until each is carried out or refused for good.

use std::sync::mpsc::Receiver;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use super::line::PreparedLine;
use super::tally::Tally;
use crate::cli::remote::{Remote, RemoteError};

/// Lines of one request: not more than a server processes at once (`gateway.bulk_lines`), since the answers are read
/// after all lines are sent.
const REQUEST_LINES: usize = 256;

/// Bytes of one request. A single larger line is sent alone.
const REQUEST_BYTES: usize = 256 << 10;

/// Lines that wait for a sender while it waits for answers.
pub(super) const QUEUE_LINES: usize = REQUEST_LINES;

/// The pause between two attempts. It doubles from the first value to the second.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long the import waits without any progress before it gives up: longer than a server takes to restart.
const NO_PROGRESS_MAX: Duration = Duration::from_secs(120);

/// One of the connections of an import.
pub(super) struct Sender<'i> {
    remote: &'i Remote,
    path: &'static str,
    tally: &'i Tally,
}

/// A line of the response. A line without a number says why no more was read.
#[derive(Debug, Deserialize)]
struct AnsweredLine {
    line: Option<usize>,
    #[serde(default)]
    replayed: bool,
    problem: Option<Value>,
}

impl<'i> Sender<'i> {
    pub(super) fn new(remote: &'i Remote, dry_run: bool, tally: &'i Tally) -> Self {
        let path = if dry_run { "/v1/commands?dry_run=true" } else { "/v1/commands" };
        Self { remote, path, tally }
    }

    /// Sends lines until the queue is closed.
    pub(super) fn send_all(&self, lines: &Receiver<PreparedLine>) -> anyhow::Result<()> {
        let mut next = None;
        while let Some(first) = next.take().or_else(|| lines.recv().ok()) {
            let (mut batch, mut bytes) = (Vec::new(), first.text.len());
            batch.push(first);
            while batch.len() < REQUEST_LINES
                && let Ok(line) = lines.try_recv()
            {
                bytes += line.text.len();
                if bytes > REQUEST_BYTES {
                    next = Some(line);
                    break;
                }
                batch.push(line);
            }
            self.send(batch)?;
        }
        Ok(())
    }

    /// Sends lines until each is carried out or refused for good.
    fn send(&self, mut batch: Vec<PreparedLine>) -> anyhow::Result<()> {
        let (mut pause, mut progress) = (PAUSE, Instant::now());
        loop {
            let before = batch.len();
            let cause = match self.attempt(&mut batch) {
                Ok(cause) => cause,
                Err(error) if error.is_transient() => error.to_string(),
                Err(error) => return Err(error.into()),
            };
            if batch.is_empty() {
                return Ok(());
            }
            if batch.len() < before {
                (pause, progress) = (PAUSE, Instant::now());
            }
            anyhow::ensure!(
                progress.elapsed() < NO_PROGRESS_MAX,
                "nothing was carried out for {} s, the last reason: {cause}",
                NO_PROGRESS_MAX.as_secs()
            );
            self.tally.waiting(&cause);
            sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Sends lines once, and keeps those that must be sent again. Returns why.
    fn attempt(&self, batch: &mut Vec<PreparedLine>) -> Result<String, RemoteError> {
        let body: Vec<u8> = batch.iter().flat_map(|line| line.text.iter().copied().chain([b'\n'])).collect();
        let answered = self.remote.post_lines(self.path, body)?;
        let mut cause = "the server did not answer every line".to_owned();
        let mut is_done = vec![false; batch.len()];
        for text in answered.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
            // A line that is cut off is no answer: its command is sent again.
            let Ok(answer) = serde_json::from_slice::<AnsweredLine>(text) else { continue };
            let line = answer.line.and_then(|number| number.checked_sub(1));
            match (line.and_then(|at| Some((at, batch.get(at)?))), &answer.problem) {
                (Some((at, line)), None) => {
                    self.tally.done(line, answer.replayed);
                    is_done[at] = true;
                }
                (Some((at, line)), Some(problem)) if !is_transient(problem) => {
                    self.tally.refused(line, problem);
                    is_done[at] = true;
                }
                (_, Some(problem)) => cause = detail(problem).to_owned(),
                (None, None) => {}
            }
        }
        let mut is_done = is_done.into_iter();
        batch.retain(|_| !is_done.next().unwrap_or_default());
        Ok(cause)
    }
}

/// Whether a line may be carried out later: the server names a time to retry, or does not know the outcome yet.
fn is_transient(problem: &Value) -> bool {
    let slug = problem["type"].as_str().and_then(|slug| slug.rsplit(':').next());
    problem["retry_after"].is_number() || matches!(slug, Some("held-back" | "outcome-unknown"))
}

pub(super) fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap_or("the server gives no reason")
}
