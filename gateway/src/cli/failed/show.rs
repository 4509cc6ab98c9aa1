//! `failed show`: one job with everything that is known of it.

use clap::Args;
use serde_json::Value;

use super::path;
use crate::admin::{FailedAttempt, FailedJob};
use crate::cli::output;
use crate::cli::remote::{Connection, Remote};

/// Shows a job with the error of every attempt, and its event
///
/// It works for each job that has failed or waits behind one, whether or not it is a dead letter.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} failed show handler/receipt 1234
  {app} failed show timers 1234.5 --json | jq -r '.failures[].error'")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The listener.
    pub(super) listener: String,
    /// The id of the job, as `failed list` shows it.
    pub(super) id: String,
    /// Print the server's response.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(remote: &Remote, listener: &str, id: &str, json: bool) -> anyhow::Result<()> {
    let response: Value = remote.get(&path(listener, id))?;
    if json {
        return Ok(output::line(serde_json::to_string_pretty(&response)?)?);
    }
    Ok(output::text(&description(&serde_json::from_value(response)?)?)?)
}

fn description(job: &FailedJob) -> anyhow::Result<String> {
    let FailedJob { listener, id, sequence, version, event, due, attempts, attempts_allowed, .. } = job;
    let state = match (job.state.as_str(), due) {
        ("dead", _) => format!("a dead letter after {attempts} attempts"),
        ("blocked", _) => "waits for an earlier job of its sequence".to_owned(),
        (_, Some(due)) => format!("attempted {attempts} of {attempts_allowed} times, again at {due}"),
        (state, None) => state.to_owned(),
    };
    let mut text = format!("{listener} {id}: {event}, version {version} of {sequence}: {state}\n");
    for (number, FailedAttempt { at, error }) in (1..).zip(job.failures.iter().flatten()) {
        text.push_str(&format!("  attempt {number} at {at}: {}\n", error.replace('\n', "\n    ")));
    }
    if let Some(content) = &job.content {
        for line in serde_json::to_string_pretty(content)?.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Timestamp;

    use super::*;

    fn job(state: &str, due: Option<Timestamp>) -> FailedJob {
        let failure = |error: &str| FailedAttempt { at: Timestamp::UNIX_EPOCH, error: error.to_owned() };
        FailedJob {
            listener: "handler/receipt".to_owned(),
            id: "7".to_owned(),
            sequence: "order/o-1".to_owned(),
            version: 3,
            event: "OrderShipped".to_owned(),
            state: state.to_owned(),
            due,
            attempts: 2,
            attempts_allowed: 3,
            error: None,
            failed_at: None,
            failures: Some(vec![failure("no\nroute"), failure("refused")]),
            content: Some(serde_json::json!({"type": "OrderShipped"})),
        }
    }

    #[test]
    fn every_attempt_is_a_line_and_the_event_follows() {
        let expected = "handler/receipt 7: OrderShipped, version 3 of order/o-1: a dead letter after 2 attempts\n  \
                        attempt 1 at 1970-01-01T00:00:00Z: no\n    route\n  \
                        attempt 2 at 1970-01-01T00:00:00Z: refused\n  {\n    \"type\": \"OrderShipped\"\n  }\n";
        assert_eq!(description(&job("dead", None)).unwrap(), expected);
    }

    #[test]
    fn a_job_that_waits_says_for_what() {
        let waits = description(&job("waiting", Some(Timestamp::UNIX_EPOCH))).unwrap();
        assert!(waits.contains("attempted 2 of 3 times, again at 1970-01-01T00:00:00Z\n"), "{waits}");
        assert!(description(&job("blocked", None)).unwrap().contains("waits for an earlier job"));
    }
}
