//! Counts the results of an import, and shows them while it runs.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::line::PreparedLine;
use super::sender::detail;
use crate::cli::projections::grouped;

/// The time between two lines about the progress, if there is no terminal for a bar.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How many refused lines are printed. More would only fill the terminal.
const REFUSALS_PRINTED: u64 = 20;

/// The counts of a running import.
pub(super) struct Tally(Mutex<Counts>);

struct Counts {
    summary: Summary,
    started: Instant,
    bytes: u64,
    of_bytes: Option<u64>,
    failed: Option<BufWriter<File>>,
    bar: Option<ProgressBar>,
    printed_at: Instant,
    /// Why the import waits. It is kept so that it is printed once.
    waiting_for: Option<String>,
    /// The error that keeps refused lines from being written to the file.
    write_error: Option<String>,
}

/// The result of an import.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    done: u64,
    /// Of these, the commands that an earlier import has carried out.
    replayed: u64,
    failed: u64,
    seconds: f64,
    write_error: Option<String>,
}

impl Tally {
    /// Begins an import of `of_bytes` bytes, if that is known. Refused lines are written to `failed`.
    pub(super) fn begin(of_bytes: Option<u64>, failed: Option<File>) -> Self {
        let style = ProgressStyle::with_template("[{bar:30}] {percent:>3} %  {msg}");
        let spinner = ProgressStyle::with_template("{spinner} {msg}");
        let bar = io::stderr().is_terminal().then(|| match of_bytes {
            Some(bytes) => ProgressBar::new(bytes).with_style(style.expect("the template is right, a test shows it")),
            None => ProgressBar::new_spinner().with_style(spinner.expect("the template is right, a test shows it")),
        });
        let (failed, started) = (failed.map(BufWriter::new), Instant::now());
        let (summary, printed_at) = (Summary::default(), started);
        Self(Mutex::new(Counts {
            summary,
            started,
            bytes: 0,
            of_bytes,
            failed,
            bar,
            printed_at,
            waiting_for: None,
            write_error: None,
        }))
    }

    /// Counts a command that was carried out, now or earlier.
    pub(super) fn done(&self, line: &PreparedLine, replayed: bool) {
        self.count(|counts| {
            counts.summary.done += 1;
            counts.summary.replayed += u64::from(replayed);
            counts.advance(line.bytes);
        });
    }

    /// Counts a command that was refused, and reports it.
    pub(super) fn refused(&self, line: &PreparedLine, problem: &Value) {
        self.count(|counts| {
            let what = format!("line {}: {} ({})", line.number, detail(problem), problem["status"]);
            counts.fail(&what, &line.text);
            counts.advance(line.bytes);
        });
    }

    /// Counts a line that is not a command, and reports it.
    pub(super) fn invalid_line(&self, number: u64, text: &[u8], what: &str) {
        self.count(|counts| {
            counts.fail(&format!("line {number}: {what}"), text.trim_ascii());
            counts.advance(text.len());
        });
    }

    /// Counts the bytes of a blank line.
    pub(super) fn blank_line(&self, bytes: usize) {
        self.count(|counts| counts.advance(bytes));
    }

    /// Reports why the import makes no progress.
    pub(super) fn waiting(&self, cause: &str) {
        self.count(|counts| {
            if counts.waiting_for.as_deref() != Some(cause) {
                counts.print(&format!("waiting: {cause}"));
                counts.waiting_for = Some(cause.to_owned());
            }
        });
    }

    /// Ends the display, and returns the result.
    pub(super) fn end(&self) -> Summary {
        self.count(|counts| {
            if let Some(bar) = &counts.bar {
                bar.finish_and_clear();
            }
            if let Some(Err(error)) = counts.failed.as_mut().map(Write::flush) {
                counts.write_error.get_or_insert(error.to_string());
            }
            counts.summary.seconds = counts.started.elapsed().as_secs_f64();
            counts.summary.write_error = counts.write_error.clone();
            counts.summary.clone()
        })
    }

    fn count<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        // Each change is a few additions, so a panic elsewhere leaves the counts right.
        change(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Counts {
    fn advance(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.waiting_for = None;
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.bytes);
                if self.printed_at.elapsed() > Duration::from_millis(100) {
                    self.printed_at = Instant::now();
                    bar.set_message(self.progress());
                }
            }
            None if self.printed_at.elapsed() > LINE_INTERVAL => {
                self.printed_at = Instant::now();
                let part = self.of_bytes.map(|of| format!("{} %, ", self.bytes * 100 / of.max(1))).unwrap_or_default();
                eprintln!("{part}{}", self.progress());
            }
            None => {}
        }
    }

    fn progress(&self) -> String {
        let Summary { done, failed, .. } = &self.summary;
        let rate = *done as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        format!("{} carried out, {} refused, {}/s", grouped(*done), grouped(*failed), grouped(rate as u64))
    }

    fn fail(&mut self, what: &str, text: &[u8]) {
        self.summary.failed += 1;
        match self.summary.failed {
            1..=REFUSALS_PRINTED => self.print(what),
            count if count == REFUSALS_PRINTED + 1 => {
                self.print("more lines were refused: --failed FILE keeps all of them")
            }
            _ => {}
        }
        if let Some(file) = &mut self.failed
            && let Err(error) = file.write_all(text).and_then(|()| file.write_all(b"\n"))
        {
            self.write_error.get_or_insert(error.to_string());
        }
    }

    fn print(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{what}")),
            None => eprintln!("{what}"),
        }
    }
}

impl Summary {
    /// Whether every line was carried out. It is false as well if a refused line could not be written to the file.
    pub(super) fn is_complete(&self) -> bool {
        self.failed == 0 && self.write_error.is_none()
    }

    pub(super) fn json(&self) -> Value {
        let Self { done, replayed, failed, seconds, write_error } = self;
        json!({"done": done, "replayed": replayed, "failed": failed, "seconds": seconds, "not_written": write_error})
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, replayed, failed, seconds, write_error } = self;
        write!(formatter, "{} commands carried out", grouped(*done))?;
        if *replayed > 0 {
            write!(formatter, " ({} of them before)", grouped(*replayed))?;
        }
        write!(formatter, ", {} refused, in {seconds:.1} s", grouped(*failed))?;
        match write_error {
            Some(error) => write!(formatter, "; refused lines could not be written down: {error}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_was_done_now_and_earlier() {
        let summary = Summary { done: 1234, replayed: 0, failed: 1, seconds: 2.04, write_error: None };
        assert_eq!(summary.to_string(), "1,234 commands carried out, 1 refused, in 2.0 s");
        let again = Summary { replayed: 1000, failed: 0, ..summary.clone() };
        assert_eq!(again.to_string(), "1,234 commands carried out (1,000 of them before), 0 refused, in 2.0 s");
        assert!(again.is_complete() && !summary.is_complete());
    }
}
