//! The thread that writes the log. One sync makes all entries durable that arrived during the last one.
//!
//! If a write fails, what it wrote is cut off again, and the next entry is tried as usual: a disk that was full may have
//! room. If that fails too, or a sync fails, nobody knows what the disk has. Then the log is not written any more, until it
//! is opened again.

use std::fs::File;
use std::io::Write;
use std::mem;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use metrics::{counter, gauge};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::{error, info};

use super::opening::{Opened, append_to};
use super::{Message, RecordError, Shared};
use crate::bounds::Bounds;
use crate::chain::Head;
use crate::entry::{Action, Entry, Outcome, Who};
use crate::key::Key;
use crate::limits::BATCH_ENTRIES;
use crate::line;
use crate::metric;
use crate::segments::{self, Segment};

pub(super) struct Writer {
    directory: PathBuf,
    key: Key,
    bounds: Bounds,
    shared: Arc<Shared>,
    /// The last durable entry.
    durable: Head,
    /// The last entry in `lines`, or the last durable one.
    head: Head,
    /// The segment that is written, and its durable bytes.
    segment: Option<(File, u64)>,
    /// The number of the last segment.
    number: u64,
    /// The durable bytes of all segments.
    bytes: u64,
    /// Lines that are not written yet, and who waits for them.
    lines: Vec<u8>,
    waiting: Vec<(Waiting, Head)>,
    /// Why nothing is written any more.
    broken: Option<String>,
    /// Whether the last entry could not be written.
    is_failing: bool,
    lock: File,
}

/// An entry that is to be written.
struct Waiting {
    entry: Entry,
    /// Who waits for it. `None`: nobody.
    done: Option<oneshot::Sender<Result<Head, RecordError>>>,
    /// Whether it may be suppressed.
    is_note: bool,
    /// Given back when the entry is durable or refused. `None`: the entry is the log's own.
    _permit: Option<OwnedSemaphorePermit>,
}

/// What the writer does after a batch.
enum Next {
    Continue,
    /// All handles are gone, or one has closed the log.
    End(Option<oneshot::Sender<()>>),
}

impl Writer {
    pub(super) fn new(directory: PathBuf, opened: Opened, bounds: Bounds, shared: Arc<Shared>) -> Self {
        let Opened { key, head, segment, number, bytes, lock, cut_bytes: _ } = opened;
        gauge!(metric::BYTES).set(bytes as f64);
        Self {
            directory,
            key,
            bounds,
            shared,
            durable: head,
            head,
            segment,
            number,
            bytes,
            lines: Vec::new(),
            waiting: Vec::new(),
            broken: None,
            is_failing: false,
            lock,
        }
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        let mut report_at = None;
        loop {
            let mut batch = Vec::new();
            let next = self.gather(messages, &mut report_at, &mut batch);
            batch.into_iter().for_each(|waiting| self.add(waiting));
            let ends = matches!(next, Next::End(_));
            if ends || report_at.is_some_and(|at| at <= Instant::now()) {
                report_at = None;
                self.report_suppressed(ends);
            }
            self.flush();
            if let Next::End(done) = next {
                drop(self.lock);
                if let Some(done) = done {
                    let _gone = done.send(());
                }
                return;
            }
        }
    }

    /// Waits for a message, and takes all that are there.
    fn gather(&self, messages: &Receiver<Message>, report_at: &mut Option<Instant>, batch: &mut Vec<Waiting>) -> Next {
        let mut next = match *report_at {
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => messages.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        loop {
            match next {
                Ok(Message::Record(entry, done, permit)) => {
                    batch.push(Waiting { entry, done: Some(done), is_note: false, _permit: Some(permit) });
                }
                Ok(Message::Note(entry, permit)) => {
                    batch.push(Waiting { entry, done: None, is_note: true, _permit: Some(permit) });
                }
                Ok(Message::Suppressed) => *report_at = Some(Instant::now() + self.bounds.suppressed_every),
                Ok(Message::Close(done)) => return Next::End(Some(done)),
                Err(RecvTimeoutError::Timeout) => return Next::Continue,
                Err(RecvTimeoutError::Disconnected) => return Next::End(None),
            }
            if batch.len() >= BATCH_ENTRIES {
                return Next::Continue;
            }
            match messages.try_recv() {
                Ok(message) => next = Ok(message),
                Err(_) => return Next::Continue,
            }
        }
    }

    /// Adds an entry to the lines that are written next, or refuses it.
    fn add(&mut self, waiting: Waiting) {
        if let Some(reason) = &self.broken {
            let reason = RecordError::Broken(reason.clone());
            return self.refuse(waiting, &reason);
        }
        let mut encoded = self.encode(&waiting.entry);
        let used = self.segment_bytes() + self.lines.len() as u64;
        if used > 0 && used + encoded.0.len() as u64 > self.bounds.segment_bytes {
            self.flush();
            // The next line begins another segment. If the lines could not be written, this one may still be empty.
            if self.segment_bytes() > 0 {
                self.segment = None;
            }
            encoded = self.encode(&waiting.entry);
        }
        let (line, head) = encoded;
        let bytes = self.bytes + self.lines.len() as u64 + line.len() as u64;
        if waiting.is_note && bytes > self.bounds.notes_bytes() {
            return self.suppress(waiting.entry.action);
        }
        if bytes > self.bounds.log_bytes && !self.has_room(line.len() as u64) {
            let full = RecordError::Full { max_bytes: self.bounds.log_bytes };
            return self.refuse(waiting, &full);
        }
        self.lines.extend_from_slice(&line);
        self.head = head;
        self.waiting.push((waiting, head));
    }

    fn encode(&self, entry: &Entry) -> (Vec<u8>, Head) {
        let begins_segment = self.segment_bytes() == 0 && self.lines.is_empty();
        line::encode(&self.key, self.head, begins_segment, Timestamp::now(), entry)
    }

    fn segment_bytes(&self) -> u64 {
        self.segment.as_ref().map_or(0, |(_, bytes)| *bytes)
    }

    /// Whether a line has room after all, because segments were moved away.
    fn has_room(&mut self, line_bytes: u64) -> bool {
        if let Ok(bytes) = segments::bytes(&self.directory) {
            self.bytes = bytes;
        }
        self.bytes + self.lines.len() as u64 + line_bytes <= self.bounds.log_bytes
    }

    /// Makes the lines durable, and tells who waits for them.
    fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let written = self.write();
        let waiting = mem::take(&mut self.waiting);
        match written {
            Ok(()) => {
                self.durable = self.head;
                self.bytes += self.lines.len() as u64;
                gauge!(metric::BYTES).set(self.bytes as f64);
                *self.shared.head.lock().unwrap_or_else(PoisonError::into_inner) = self.durable;
                if mem::take(&mut self.is_failing) {
                    info!("the audit log can be written again");
                }
                for (Waiting { entry, done, .. }, head) in waiting {
                    counter!(metric::ENTRIES, "action" => entry.action.name()).increment(1);
                    if let Some(done) = done {
                        let _gone = done.send(Ok(head));
                    }
                }
            }
            Err(reason) => {
                self.head = self.durable;
                waiting.into_iter().for_each(|(waiting, _)| self.refuse(waiting, &reason));
            }
        }
        self.lines.clear();
    }

    fn write(&mut self) -> Result<(), RecordError> {
        if self.segment.is_none() {
            self.begin_segment()?;
        }
        let Some((file, bytes)) = &mut self.segment else {
            return Err(RecordError::Unavailable("there is no segment".to_owned()));
        };
        match file.write_all(&self.lines) {
            Ok(()) => match file.sync_data() {
                Ok(()) => {
                    *bytes += self.lines.len() as u64;
                    Ok(())
                }
                // The next sync could succeed although the lines are lost.
                Err(error) => Err(self.fail(&error)),
            },
            Err(error) => match file.set_len(*bytes).and_then(|()| file.sync_all()) {
                Ok(()) => Err(RecordError::Unavailable(error.to_string())),
                Err(_) => Err(self.fail(&error)),
            },
        }
    }

    /// Writes nothing any more.
    fn fail(&mut self, error: &std::io::Error) -> RecordError {
        let reason = error.to_string();
        self.broken = Some(reason.clone());
        RecordError::Broken(reason)
    }

    fn begin_segment(&mut self) -> Result<(), RecordError> {
        let path = Segment::path(&self.directory, self.number + 1);
        let file = append_to(&path, true).map_err(|error| RecordError::Unavailable(error.to_string()))?;
        // From here on the segment exists: an empty last one is a part of the log.
        (self.number, self.segment) = (self.number + 1, Some((file, 0)));
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| self.fail(&error))
    }

    /// Counts a note that is not written, because the log is nearly full.
    fn suppress(&self, action: Action) {
        counter!(metric::SUPPRESSED, "action" => action.name()).increment(1);
        self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner).suppress(action, 1);
    }

    fn refuse(&mut self, waiting: Waiting, reason: &RecordError) {
        counter!(metric::FAILURES).increment(1);
        if !mem::replace(&mut self.is_failing, true) {
            error!(%reason, action = waiting.entry.action.name(), "the audit log cannot be written: changes by operators are refused");
        }
        if let Some(done) = waiting.done {
            let _gone = done.send(Err(reason.clone()));
        }
    }

    /// Writes how many notes were suppressed. While the log is nearly full, that waits for the end of the log.
    fn report_suppressed(&mut self, ends: bool) {
        if self.bytes > self.bounds.notes_bytes() && !ends {
            return;
        }
        let suppressed = self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner).take_suppressed();
        if suppressed.is_empty() {
            return;
        }
        let entry = Entry::new(Action::Suppressed, Who::default(), Outcome::Done);
        let entry = suppressed.iter().fold(entry, |entry, (action, count)| entry.with(action.name(), count));
        self.add(Waiting { entry, done: None, is_note: false, _permit: None });
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::sync::Mutex;

    use super::*;
    use crate::bounds::Notes;

    /// Records an entry. Returns what its recorder is told.
    fn record(writer: &mut Writer) -> Result<Head, RecordError> {
        let (done, mut outcome) = oneshot::channel();
        let entry = Entry::new(Action::AdminAction, Who::default(), Outcome::Intended);
        writer.add(Waiting { entry, done: Some(done), is_note: false, _permit: None });
        writer.flush();
        outcome.try_recv().unwrap()
    }

    #[test]
    fn nothing_is_written_any_more_once_nobody_knows_what_the_disk_has() {
        let place = tempfile::tempdir().unwrap();
        let open = |path: &std::path::Path| OpenOptions::new().append(true).create(true).open(path).unwrap();
        let bounds = Bounds::of(1 << 20);
        let notes = Mutex::new(Notes::new(&bounds));
        let shared = Arc::new(Shared { notes, head: Mutex::new(Head::EMPTY) });
        let lock = open(&place.path().join("lock"));
        // This device has no room, and its length cannot be set back.
        let segment = Some((open("/dev/full".as_ref()), 0));
        let key = Key::of([1; 32]);
        let opened = Opened { key, head: Head::EMPTY, segment, number: 1, bytes: 0, cut_bytes: 0, lock };
        let mut writer = Writer::new(place.path().to_owned(), opened, bounds, Arc::clone(&shared));
        let refused = record(&mut writer).unwrap_err();
        assert!(matches!(&refused, RecordError::Broken(reason) if reason.contains("No space left")), "{refused:?}");
        writer.segment = Some((open(&place.path().join("working")), 0));
        assert_eq!(record(&mut writer), Err(refused));
        assert_eq!(*shared.head.lock().unwrap(), Head::EMPTY);
    }
}
