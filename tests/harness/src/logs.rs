//! The output of a process, kept for failure messages.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// The output of a server must not fill the memory of a long test.
const LIMIT_LINES: usize = 2_000;

/// How long the last lines of a process that has ended are waited for. A process that it has started may live on and
/// keep its output open.
const LAST_LINES_BOUND: Duration = Duration::from_secs(5);

const POLL: Duration = Duration::from_millis(1);

/// The last lines of a process, or of several processes one after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs(Arc<Mutex<VecDeque<String>>>);

impl Logs {
    /// Reads to the end in a separate thread, so that the process never waits for a full pipe. Returns that thread.
    pub(crate) fn drain(
        &self,
        source: impl Read + Send + 'static,
        each: impl Fn(&str) + Send + 'static,
    ) -> JoinHandle<()> {
        let logs = self.clone();
        thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while source.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end();
                logs.push(text.to_owned());
                each(text);
                line.clear();
            }
        })
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LIMIT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// All lines that are kept.
    pub(crate) fn all(&self) -> String {
        self.tail(LIMIT_LINES)
    }

    pub(crate) fn tail(&self, count: usize) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = lines.len().saturating_sub(count);
        let tail: Vec<&str> = lines.iter().skip(skipped).map(String::as_str).collect();
        tail.join("\n")
    }
}

/// Waits until the threads that read the output of a process have read its last lines. The process has ended.
pub(crate) fn await_last_lines(readers: &[JoinHandle<()>]) {
    let deadline = Instant::now() + LAST_LINES_BOUND;
    while !readers.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
        sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_go_first() {
        let logs = Logs::default();
        for number in 0..LIMIT_LINES + 2 {
            logs.push(number.to_string());
        }
        assert!(logs.all().starts_with("2\n3\n"));
        assert_eq!(logs.tail(2), "2000\n2001");
    }
}
