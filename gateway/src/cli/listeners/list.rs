//! `listeners list`: all listeners, one a line.

use clap::Args;
use serde_json::Value;

use crate::admin::{Breaker, Listener, Listeners};
use crate::cli::output;
use crate::cli::projections::grouped;
use crate::cli::remote::{Connection, Remote};
use crate::cli::table::Table;

/// Shows the position and the state of each listener
///
/// LAG counts the events that it has not read yet, READY the jobs that wait for a worker, RUNNING those that run. Stored
/// jobs are WAITING for another attempt, BLOCKED behind an earlier one of their aggregate, or DEAD: `failed list` shows
/// these.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} listeners list
  {app} listeners list --json | jq -r '.listeners[] | select(.jobs.dead > 0) | .name'")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Print the server's response.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(remote: &Remote, json: bool) -> anyhow::Result<()> {
    let response: Value = remote.get("/admin/listeners")?;
    if json {
        output::line(serde_json::to_string_pretty(&response)?)?;
    } else {
        output::text(&table_text(&serde_json::from_value(response)?))?;
    }
    Ok(())
}

fn table_text(Listeners { listeners, .. }: &Listeners) -> String {
    let mut table = Table::headed([
        "NAME",
        "STATE",
        "QUEUE",
        "POSITION#",
        "LAG#",
        "READY#",
        "RUNNING#",
        "WAITING#",
        "BLOCKED#",
        "DEAD#",
        "BREAKER",
        "REASON",
    ]);
    for listener in listeners {
        let Listener { name, queue, state, reason, position, lag, ready, running, breaker, jobs, .. } = listener;
        let [waiting, blocked, dead] = match jobs {
            Some(jobs) => [jobs.waiting, jobs.blocked, jobs.dead].map(grouped),
            None => std::array::from_fn(|_| "?".to_owned()),
        };
        table.row([
            name.clone(),
            state.clone(),
            queue.clone(),
            grouped(*position),
            grouped(*lag),
            ready.to_string(),
            running.to_string(),
            waiting,
            blocked,
            dead,
            breaker.as_ref().map_or_else(|| "-".to_owned(), breaker_text),
            reason.clone().unwrap_or_default(),
        ]);
    }
    table.text()
}

fn breaker_text(Breaker { state, open_seconds }: &Breaker) -> String {
    match open_seconds {
        Some(seconds) => format!("{state} for {seconds:.0} s"),
        None => state.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::JobNumbers;

    #[test]
    fn each_listener_is_a_line_with_its_stored_jobs_and_its_breaker() {
        let listener = |name: &str, breaker, jobs| Listener {
            name: name.to_owned(),
            kind: "handler".to_owned(),
            queue: "default".to_owned(),
            sources: Vec::new(),
            state: "running".to_owned(),
            reason: None,
            position: 1234,
            lag: 0,
            ready: 1,
            running: 2,
            breaker,
            jobs,
        };
        let open = Breaker { state: "open".to_owned(), open_seconds: Some(9.7) };
        let jobs = JobNumbers { waiting: 3, blocked: 4000, dead: 5 };
        let listeners = vec![listener("handler/one", Some(open), Some(jobs)), listener("messages", None, None)];
        let expected = "\
NAME         STATE    QUEUE    POSITION  LAG  READY  RUNNING  WAITING  BLOCKED  DEAD  BREAKER        REASON
handler/one  running  default     1,234    0      1        2        3    4,000     5  open for 10 s
messages     running  default     1,234    0      1        2        ?        ?     ?  -
";
        assert_eq!(table_text(&Listeners { head: 1234, listeners }), expected);
    }
}
