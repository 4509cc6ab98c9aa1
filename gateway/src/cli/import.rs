//! `import`: a file of commands, sent to a running server.
//!
//! One thread reads lines, gives each a key, and hands it to one of a few senders, always the same one for an aggregate, so
//! that the order of its commands is kept. A sender sends what waits for it in one bulk request, again and again until every
//! line of it is carried out or refused for good.

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

use self::line::{Keys, Prepared};
use self::sender::{Sender, WAITING};
use self::tally::Tally;
use super::failure::WrongArgument;
use super::remote::{Connection, Remote};
use super::{Settings, output};

/// A line of more bytes is no command of any server.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Sends a file of commands to a running server, once each
///
/// A line is a command in JSON: {"type":"order","id":"o-1","command":"confirm-order","body":{…},"key":"…"}, where body, key
/// and expected_version may be missing. A line without a key gets one from the name of the import and its number, so the same
/// import can be repeated after whatever interrupted it: what was carried out is not carried out again. Commands of one
/// aggregate are carried out in the order of their lines. What the server refuses is told and passed over. While the server is
/// away or has no room, the import waits for it, for two minutes at most.
///
/// Exit codes: 0 every command was carried out, now or before; 1 some were not; 2 wrong use.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} import orders.ndjson
  {app} import orders.ndjson --dry-run                  what would be refused?
  {app} import orders.ndjson --failed failed.ndjson     keep what was refused, to mend and import it
  zcat orders.gz | {app} import - --name orders-2026    standard input has no name of its own")]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// The file; - is standard input.
    file: PathBuf,
    /// What the keys are made of [default: the file's name]
    ///
    /// Under another name the same lines are other commands: they are carried out once more.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Requests at a time.
    #[arg(long, value_name = "COUNT", default_value = "4")]
    connections: NonZeroUsize,
    /// Write the lines that were refused to this file, with their keys.
    #[arg(long, value_name = "FILE")]
    failed: Option<PathBuf>,
    /// Decide on every command, and change nothing: commands that rest on earlier ones may be refused.
    #[arg(long)]
    dry_run: bool,
    /// Print what came of it as JSON.
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
            return Err(error.context(format!("{summary}; the same command again goes on from here")));
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

/// What to read from, and how many bytes there are, if that is known.
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

/// Sends everything, and returns when all of it is answered.
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
            let (queue, lines) = sync_channel(WAITING);
            queues.push(queue);
            senders.push(scope.spawn(move || Sender::new(remote, dry_run, tally).send_all(&lines)));
        }
        let read = read(input, keys, &queues, tally);
        // Without a queue that is open, a sender ends when it has sent what it has.
        drop(queues);
        let mut senders = senders.into_iter();
        let sent = senders.try_for_each(|sender| sender.join().unwrap_or_else(|panic| resume_unwind(panic)));
        // A sender that fails makes the reader stop, so the sender's error is the one to tell.
        sent.and(read)
    })
}

/// Hands line after line to the sender of its aggregate, until the input or a sender ends.
fn read(input: &mut dyn BufRead, keys: &Keys, queues: &[SyncSender<Prepared>], tally: &Tally) -> anyhow::Result<()> {
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        let read = (&mut *input).take(LINE_BYTES_MAX).read_until(b'\n', &mut text).context("cannot read on")?;
        if read == 0 {
            break;
        }
        anyhow::ensure!(text.len() < LINE_BYTES_MAX as usize, "line {number} has more than {LINE_BYTES_MAX} bytes");
        if text.trim_ascii().is_empty() {
            tally.passed_over(read);
            continue;
        }
        match keys.prepare(number, &text)? {
            Ok(line) => {
                let queue = &queues[line.sender(queues.len())];
                if queue.send(line).is_err() {
                    break;
                }
            }
            Err(what) => tally.no_line(number, &text, &what),
        }
    }
    Ok(())
}
