//! `projections rebuild`: rebuilds views, and shows the progress.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::time::sleep;

use super::tracker::{RebuildOutcome, RebuildStatus, RebuildTracker};
use super::{Selection, grouped, overview, path};
use crate::admin::Projection;
use crate::cli::remote::{Connection, Remote, RemoteError};
use crate::cli::{output, serve};

/// The time between two polls: short enough for a bar that moves smoothly, and hardly any load for the server.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The time between two lines about the progress, if there is no terminal for a bar.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The number of the signal that Ctrl-C sends.
const SIGINT: u8 = 2;

/// Builds views anew beside those that are read, and replaces them once the new ones have caught up
///
/// Readers notice nothing. The command waits and shows the progress. Ctrl-C ends the waiting, not the rebuild.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} projections rebuild orders
  {app} projections rebuild --all --no-wait
  {app} projections rebuild orders --json | jq -e .[0].rebuilt")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) selection: Selection,
    #[command(flatten)]
    pub(super) options: RebuildOptions,
}

#[derive(Debug, Args)]
pub(super) struct RebuildOptions {
    /// Discard what another rebuild has built so far, if one is in progress.
    #[arg(long)]
    start_over: bool,
    /// Return when the rebuild has begun: `projections list` shows its progress.
    #[arg(long)]
    no_wait: bool,
    /// Print the results as an array of objects; with --no-wait, the state of the projections.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    application: &'static str,
    remote: Remote,
    selection: &Selection,
    options: &RebuildOptions,
) -> anyhow::Result<ExitCode> {
    let before = selection.find(&remote)?;
    let mut begun = Vec::new();
    for projection in &before {
        begun.push(begin(&remote, projection, options.start_over)?);
    }
    if options.no_wait {
        if options.json {
            output::line(serde_json::to_string_pretty(&begun)?)?;
        } else {
            begun.iter().try_for_each(|projection| output::line(format_args!("{}: rebuilding", projection.name)))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = serve::runtime()?;
    let followed = runtime.block_on(async {
        tokio::select! {
            outcomes = follow(&remote, &before) => outcomes.map(Some),
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Ok(None)
            }
        }
    });
    // A poll may still wait for a server that does not answer. Its result is not needed any more.
    runtime.shutdown_background();
    let Some(outcomes) = followed? else {
        eprintln!(
            "{application}: stopped waiting, the rebuild continues: `{application} projections list` shows its progress"
        );
        return Ok(ExitCode::from(128 + SIGINT));
    };
    if options.json {
        output::line(serde_json::to_string_pretty(&outcomes)?)?;
    } else {
        outcomes.iter().try_for_each(|outcome| output::line(describe(outcome)))?;
    }
    let failed: Vec<&str> =
        outcomes.iter().filter(|outcome| !outcome.rebuilt).map(|outcome| outcome.name.as_str()).collect();
    anyhow::ensure!(failed.is_empty(), "not rebuilt: {}", failed.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// Begins to rebuild a view, or continues to show a rebuild that is in progress.
fn begin(remote: &Remote, projection: &Projection, start_over: bool) -> Result<Projection, RemoteError> {
    let path = path(&projection.name);
    match remote.post(&format!("{path}/rebuild"), &json!({ "start_over": start_over })) {
        Err(error) if error.is("rebuild-under-way") => {
            eprintln!("{}: {error} (--start-over discards it and begins again)", projection.name);
            remote.get(&path)
        }
        answered => answered,
    }
}

fn describe(outcome: &RebuildOutcome) -> String {
    let RebuildOutcome { name, rebuilt, reason, position, .. } = outcome;
    let reason = reason.as_deref().unwrap_or_default();
    match rebuilt {
        true => format!("{name}: rebuilt, at position {}", grouped(*position)),
        false => format!("{name}: not rebuilt: {reason}"),
    }
}

/// Polls the server until all rebuilds have ended.
async fn follow(remote: &Remote, before: &[Projection]) -> anyhow::Result<Vec<RebuildOutcome>> {
    let mut display = Display::of_terminal();
    let mut followed: Vec<_> =
        before.iter().map(|projection| (RebuildTracker::of(projection), display.line(), None)).collect();
    while followed.iter().any(|(.., outcome)| outcome.is_none()) {
        let now = poll(remote.clone()).await?;
        for (tracker, line, outcome) in followed.iter_mut().filter(|(.., outcome)| outcome.is_none()) {
            let status = tracker.update(now.iter().find(|projection| projection.name == tracker.name()));
            line.show(tracker.name(), &status);
            if let RebuildStatus::Ended(ended) = status {
                *outcome = Some(ended);
            }
        }
        sleep(POLL_INTERVAL).await;
    }
    display.clear();
    Ok(followed.into_iter().filter_map(|(.., outcome)| outcome).collect())
}

/// The state of all projections, read on a thread that may block.
async fn poll(remote: Remote) -> anyhow::Result<Vec<Projection>> {
    let answer: Result<_, RemoteError> = tokio::task::spawn_blocking(move || overview(&remote)).await?;
    Ok(answer?.projections)
}

/// The progress on standard error: bars on a terminal, and otherwise a line from time to time.
enum Display {
    Bars(MultiProgress),
    Lines,
}

/// The progress of one projection.
enum Line {
    Bar(ProgressBar),
    Text { shown_at: Option<Instant> },
}

impl Display {
    fn of_terminal() -> Self {
        if io::stderr().is_terminal() { Self::Bars(MultiProgress::new()) } else { Self::Lines }
    }

    fn line(&mut self) -> Line {
        match self {
            Self::Bars(bars) => {
                let style = ProgressStyle::with_template("{prefix:24} [{bar:30}] {percent:>3} %  {msg}");
                let bar = ProgressBar::new(0).with_style(style.expect("the template is right, a test shows it"));
                Line::Bar(bars.add(bar))
            }
            Self::Lines => Line::Text { shown_at: None },
        }
    }

    /// Removes the bars: the results are printed on standard output.
    fn clear(&mut self) {
        if let Self::Bars(bars) = self {
            // If the terminal is closed, there is nothing to remove.
            let _cleared = bars.clear();
        }
    }
}

impl Line {
    fn show(&mut self, name: &str, status: &RebuildStatus) {
        match (self, status) {
            (Self::Bar(bar), RebuildStatus::Progress { done, of, description }) => {
                bar.set_prefix(name.to_owned());
                bar.set_length(*of);
                bar.set_position(*done);
                bar.set_message(description.clone());
            }
            (Self::Bar(bar), RebuildStatus::Ended(_)) => bar.finish(),
            (Self::Text { shown_at }, RebuildStatus::Progress { description, .. })
                if shown_at.is_none_or(|at| at.elapsed() >= LINE_INTERVAL) =>
            {
                eprintln!("{name}: {description}");
                *shown_at = Some(Instant::now());
            }
            _ => {}
        }
    }
}
