//! `audit`: reads the audit log beside a server, and verifies it.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use dormouse_audit::{Entry, Filter, Head, Key, ReadError, StoredEntry, Verified, Who, entries, export, verify};
use dormouse_config::Audit;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{Span, SpanRelativeTo, Timestamp};

use super::failure::WrongArgument;
use super::projections::grouped;
use super::{Settings, output};

/// Bytes of the log between two movements of the bar.
const BAR_STEP: u64 = 1 << 20;

/// Lists, verifies and exports the audit log
///
/// The log says who did what, from where, and what came of it (section [audit] of the configuration). The commands read its
/// files, so they need no server, and one may write the log meanwhile.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} audit list --since 24h --subject ada
  {app} audit verify --head \"$(cat anchored-head.txt)\"
  {app} audit export audit.jsonl
  {app} audit head > anchored-head.txt")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists entries, the oldest first
    #[command(after_long_help = "\
Examples:
  {app} audit list --since 24h
  {app} audit list --since 2026-01-31T12:00:00Z --subject key:ci --limit 20
  {app} audit list --json | jq -r 'select(.action == \"caller-denied\") | .who.peer' | sort | uniq -c")]
    List(List),
    /// Verifies that no entry was changed, moved, added or removed
    ///
    /// Each entry has a keyed hash over itself and the entries before it, so the key of the log is needed. A cut at the end
    /// looks like an older log: it is found if --head names a head that was kept elsewhere. The server writes its head into
    /// its log once an hour and when it stops; `audit head` prints it.
    ///
    /// Exit codes: 0 the log is as it was written, 1 it is not, or cannot be read.
    #[command(after_long_help = "\
Examples:
  {app} audit verify
  {app} audit verify --head \"$(cat anchored-head.txt)\"")]
    Verify(Verify),
    /// Writes all entries into a file, one JSON object a line, and as the last line the head
    #[command(after_long_help = "\
Examples:
  {app} audit export audit.jsonl
  {app} audit export - | gzip > audit.jsonl.gz")]
    Export(Export),
    /// Prints the number and the hash of the last entry: SEQ:HEX
    ///
    /// Keep it where whoever can change the log cannot change it. Then `audit verify --head` finds a cut at the end.
    #[command(after_long_help = "\
Examples:
  {app} audit head > /mnt/elsewhere/anchored-head.txt")]
    Head(Settings),
}

#[derive(Debug, Args)]
struct List {
    /// Only entries of this time or later: 2026-01-31T12:00:00Z, or how long ago, such as 24h or 7d.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only entries of this caller.
    #[arg(long)]
    subject: Option<String>,
    /// At most this many entries [default: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Print one JSON object a line instead.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Verify {
    /// A head that was kept elsewhere, as `audit head` prints it.
    #[arg(long, value_name = "SEQ:HEX")]
    head: Option<Head>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Export {
    /// The new file; `-` is standard output.
    file: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    let log = |settings| log(outer.and(settings));
    match arguments.command {
        Command::List(List { since, subject, limit, json, settings }) => {
            let since = since.map(|text| time(&text, Timestamp::now())).transpose()?;
            let filter = Filter { since, subject, after: 0 };
            list(&log(settings)?, filter, limit.unwrap_or(usize::MAX), json)
        }
        Command::Verify(Verify { head, settings }) => run_verify(&log(settings)?, head),
        Command::Export(Export { file, settings }) => run_export(&log(settings)?, &file),
        Command::Head(settings) => Ok(output::line(dormouse_audit::head(&log(settings)?.directory)?)?),
    }
}

/// Where the log is.
fn log(settings: Settings) -> anyhow::Result<Audit> {
    let audit = settings.load()?.config.audit;
    if !audit.directory.is_dir() {
        let directory = audit.directory.display();
        anyhow::bail!("there is no audit log in {directory} (audit.directory): a server with audit.enabled begins it");
    }
    Ok(audit)
}

/// A time, or how long ago it was. Days have 24 hours here.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, WrongArgument> {
    let ago = || {
        let duration = text.parse::<Span>().ok()?.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        now.checked_sub(duration).ok().filter(|at| *at < now)
    };
    let wrong = || WrongArgument(format!("--since {text}: use a time such as 2026-01-31T12:00:00Z, 24h or 7d"));
    text.parse().ok().or_else(ago).ok_or_else(wrong)
}

fn list(log: &Audit, filter: Filter, limit: usize, json: bool) -> anyhow::Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    for stored in entries(&log.directory, filter)?.take(limit) {
        let stored = stored?;
        let line = if json { serde_json::to_string(&stored)? } else { shown(&stored) };
        writeln!(stdout, "{line}")?;
    }
    Ok(stdout.flush()?)
}

/// An entry on one line. Clients choose parts of it, so it has no control characters.
fn shown(StoredEntry { sequence, time, entry, .. }: &StoredEntry) -> String {
    let Entry { action, operation, who, target, details, outcome, status, request_id } = entry;
    let Who { subject, key, issuer: _, peer } = who;
    let mut parts = vec![format!("{sequence}  {time:.0}  {action}")];
    parts.extend(operation.clone());
    parts.push(match status {
        Some(status) => format!("{} ({status})", outcome.name()),
        None => outcome.name().to_owned(),
    });
    let key = key.as_ref().map(|key| format!(" ({key})")).unwrap_or_default();
    parts.push(format!("{}{key}", subject.as_deref().unwrap_or("-")));
    parts.extend(peer.map(|peer| peer.to_string()));
    parts.extend(target.clone());
    parts.extend(details.iter().map(|(name, value)| format!("{name}={value}")));
    parts.extend(request_id.as_ref().map(|id| format!("[{id}]")));
    parts.join("  ").chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn run_verify(log: &Audit, anchored: Option<Head>) -> anyhow::Result<()> {
    let key = Key::load(&log.key)?;
    let bar = bar(dormouse_audit::bytes(&log.directory)?);
    let mut unshown = 0;
    let verified = verify(&log.directory, &key, anchored, |bytes| {
        unshown += bytes;
        if unshown >= BAR_STEP {
            bar.inc(unshown);
            unshown = 0;
        }
    });
    bar.finish_and_clear();
    let Verified { first, head, segments, incomplete_bytes } = verified?;
    match first {
        None => output::line("the log has no entry")?,
        Some(first) => output::line(format_args!(
            "entries {} to {} in {segments} segments are as they were written",
            grouped(first),
            grouped(head.sequence)
        ))?,
    }
    if first.is_some_and(|first| first > 1) {
        output::line("older segments are elsewhere, and were not verified")?;
    }
    if incomplete_bytes > 0 {
        output::line(format_args!(
            "the last {incomplete_bytes} bytes are no complete line: a server is writing it, or was when it was killed"
        ))?;
    }
    match anchored {
        Some(anchored) => output::line(format_args!("entry {} is that of the anchored head", anchored.sequence))?,
        None => output::line("no head was given: whether the end was cut is not known")?,
    }
    Ok(output::line(format_args!("head {head}"))?)
}

/// Shows how much of the log was read; hidden, if standard error is not a terminal.
fn bar(bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("[{bar:30}] {percent:>3} %  {bytes} of {total_bytes}");
    ProgressBar::new(bytes).with_style(style.expect("the template is right, help shows it"))
}

fn run_export(log: &Audit, file: &PathBuf) -> anyhow::Result<()> {
    if file.as_os_str() == "-" {
        return match export(&log.directory, &mut BufWriter::new(io::stdout().lock())) {
            // A reader that has closed the pipe has seen enough.
            Err(ReadError::Io { source, .. }) => Err(source.into()),
            exported => Ok(exported.map(drop)?),
        };
    }
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let opened = opened.map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let mut to = BufWriter::new(opened);
    let exported = export(&log.directory, &mut to)?;
    to.get_ref().sync_all()?;
    output::line(format_args!("exported {} entries to {}", grouped(exported.entries), file.display()))?;
    Ok(output::line(format_args!("head {}", exported.head))?)
}

#[cfg(test)]
mod tests {
    use dormouse_audit::{Action, Outcome};

    use super::*;

    #[test]
    fn a_time_is_absolute_or_so_long_ago() {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-01-30T00:00:00+01:00", Some("2026-01-29T23:00:00Z")),
            ("24h", Some("2026-01-30T12:00:00Z")),
            ("7d", Some("2026-01-24T12:00:00Z")),
            ("-1h", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(time(text, now).ok().map(|time| time.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_entry_is_one_line_whatever_a_client_has_sent() {
        let who = Who { subject: Some("a\n1  forged\u{1b}[2J".to_owned()), ..Who::default() };
        let entry = Entry::new(Action::CallerDenied, who, Outcome::Refused).with("reason", "no\r\n");
        let (time, mac) = (Timestamp::UNIX_EPOCH, String::new());
        let line = shown(&StoredEntry { sequence: 7, time, entry, previous: None, mac });
        assert_eq!(line, "7  1970-01-01T00:00:00Z  caller-denied  refused  a 1  forged [2J  reason=no  ");
    }
}
