//! `import`: sends a file of commands to a running server.
//!
//! One thread reads lines, gives each a key, and passes it to one of a few senders. All lines of an aggregate have the
//! same sender, so that their order is kept. A sender puts the lines that wait for it into one bulk request, and
//! repeats that until each line is carried out or refused for good.

mod line;
mod sender;
mod tally;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use anyhow::Context;
use clap::Args;

use self::line::{Keys, PreparedLine};
use self::sender::{QUEUE_LINES, Sender};
use self::tally::Tally;
use super::failure::WrongArgument;
use super::remote::{Connection, Remote};
use super::{Settings, output};

/// No server accepts a line with more bytes.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Sends a file of commands to a running server, each of them once
///
/// A line is a command in JSON: {"type":"order","id":"o-1","command":"confirm-order","body":{…},"key":"…"}. The fields
/// body, key and expected_version are optional. A line without a key gets one that is made of the name of the import
/// and the number of the line. So the same import can be repeated after any interruption: commands that were carried
/// out are not carried out again. Commands of one aggregate are carried out in the order of their lines. A line that
/// the server refuses is reported and skipped. While the server is away or overloaded, the import waits for it, for two
/// minutes at most.
///
/// Exit codes: 0 every command was carried out, now or earlier; 1 some were not; 2 wrong use.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} import orders.ndjson
  {app} import orders.ndjson --dry-run                  show what would be refused
  {app} import orders.ndjson --failed failed.ndjson     keep refused lines, to correct and import them
  zcat orders.gz | {app} import - --name orders-2026    standard input has no name of its own")]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// The file; - is standard input.
    file: PathBuf,
    /// The name that keys are made of [default: the file's name]
    ///
    /// Under another name the same lines are other commands, and are carried out again.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Number of requests at the same time.
    #[arg(long, value_name = "COUNT", default_value = "4")]
    connections: NonZeroUsize,
    /// Write refused lines to this file, with their keys.
    #[arg(long, value_name = "FILE")]
    failed: Option<PathBuf>,
    /// Decide on every command, and change nothing: commands that depend on earlier ones may be refused.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { connection, file, name, connections, failed, dry_run, json } = arguments;
    let keys = keys(&file, name)?;
    let (mut input, bytes) = open(&file)?;
    let failed = failed.as_deref().map(|path| File::create(path).with_context(|| path.display().to_string()));
    let tally = Tally::begin(bytes, failed.transpose()?);
    let remote = connection.remote(application, outer)?;
    let sent = send(&mut input, &keys, &remote, connections.get(), dry_run, &tally);
    let summary = tally.end();
    match sent {
        Err(error) if error.is::<WrongArgument>() => return Err(error),
        Err(error) => {
            return Err(error.context(format!("{summary}; repeat the command to continue from here")));
        }
        Ok(()) if json => output::line(summary.json())?,
        Ok(()) => output::line(&summary)?,
    }
    Ok(if summary.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn keys(file: &Path, name: Option<String>) -> anyhow::Result<Keys> {
    let of_file =
        || if is_stdin(file) { None } else { file.file_name().map(|name| name.to_string_lossy().into_owned()) };
    Ok(Keys::of(name.or_else(of_file).as_deref()))
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

/// Opens the input. The second value is its size in bytes, if that is known.
fn open(path: &Path) -> anyhow::Result<(Box<dyn BufRead>, Option<u64>)> {
    if is_stdin(path) {
        return Ok((Box::new(BufReader::new(io::stdin())), None));
    }
    let cannot = |error: io::Error| WrongArgument(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        return Err(WrongArgument(format!("{} is a directory", path.display())).into());
    }
    let bytes = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(BufReader::new(file)), bytes))
}

/// Sends all lines, and returns when every line is answered.
fn send(
    input: &mut dyn BufRead,
    keys: &Keys,
    remote: &Remote,
    connections: usize,
    dry_run: bool,
    tally: &Tally,
) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let (mut queues, mut senders) = (Vec::new(), Vec::new());
        for _ in 0..connections {
            let (queue, lines) = sync_channel(QUEUE_LINES);
            queues.push(queue);
            senders.push(scope.spawn(move || Sender::new(remote, dry_run, tally).send_all(&lines)));
        }
        let read = read(input, keys, &queues, tally);
        // A sender ends when its queue is closed and empty.
        drop(queues);
        let mut senders = senders.into_iter();
        let sent = senders.try_for_each(|sender| sender.join().unwrap_or_else(|panic| resume_unwind(panic)));
        // If a sender fails, the reader stops as well. So the sender's error is reported first.
        sent.and(read)
    })
}

/// Passes each line to the sender of its aggregate, until the input or a sender ends.
fn read(
    input: &mut dyn BufRead,
    keys: &Keys,
    queues: &[SyncSender<PreparedLine>],
    tally: &Tally,
) -> anyhow::Result<()> {
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        let read = (&mut *input).take(LINE_BYTES_MAX).read_until(b'\n', &mut text).context("cannot read the input")?;
        if read == 0 {
            break;
        }
        anyhow::ensure!(text.len() < LINE_BYTES_MAX as usize, "line {number} has more than {LINE_BYTES_MAX} bytes");
        if text.trim_ascii().is_empty() {
            tally.blank_line(read);
            continue;
        }
        match keys.prepare(number, &text)? {
            Ok(line) => {
                let queue = &queues[line.sender(queues.len())];
                if queue.send(line).is_err() {
                    break;
                }
            }
            Err(what) => tally.invalid_line(number, &text, &what),
        }
    }
    Ok(())
}
