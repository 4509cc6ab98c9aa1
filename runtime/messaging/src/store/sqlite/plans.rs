//! How SQLite finds rows: along an index, without sorting.

use super::read::{
    COUNT_JOBS, COUNT_TIMERS, NEXT_DUE, due_sql, held_sql, job_sql, sequence_sql, state_sql, timers_sql,
};
use super::write::{FORGET_DONE, REMOVE, remove_timers_sql};
use super::*;

/// The steps of a statement that read tables of ours, or sort.
async fn steps(store: &Sqlite, sql: String) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let steps = store.read(async |connection| sqlx::query_as(explain).fetch_all(connection).await).await;
    let steps: Vec<(i64, i64, i64, String)> = steps.unwrap();
    let is_of_interest = |step: &String| {
        step.split(' ').any(|word| ["job", "timer", "done"].contains(&word)) || step.contains("ORDER BY")
    };
    // Whether the index has all columns does not matter here.
    let steps = steps.into_iter().map(|(_, _, _, step)| step.replace("COVERING ", ""));
    steps.filter(is_of_interest).collect()
}

#[tokio::test]
async fn every_read_and_removal_is_a_range_of_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(directory.path(), 1).await.unwrap();
    let key = "sqlite_autoindex_job_1 (consumer=? AND position=? AND part=?)";
    let timer_key = "sqlite_autoindex_timer_1 (aggregate_id=? AND aggregate_type=? AND name=?)";
    for (sql, expected) in [
        (due_sql(), "SEARCH job USING INDEX job_by_due (consumer=? AND due<?)"),
        (NEXT_DUE.to_owned(), "SEARCH job USING INDEX job_by_due (consumer=?)"),
        (
            sequence_sql(),
            "SEARCH job USING INDEX job_by_sequence \
             (consumer=? AND aggregate_id=? AND aggregate_type=? AND (position,part)>(?,?))",
        ),
        (state_sql(), "SEARCH job USING INDEX job_by_state (consumer=? AND state=? AND (position,part)>(?,?))"),
        (job_sql(), &format!("SEARCH job USING INDEX {key}")),
        (held_sql(1, false), "SEARCH job USING INDEX job_held (consumer=? AND aggregate_id=? AND aggregate_type=?)"),
        (
            held_sql(1, true),
            "SEARCH job USING INDEX job_by_sequence (consumer=? AND aggregate_id=? AND aggregate_type=?)",
        ),
        (COUNT_JOBS.to_owned(), "SCAN job USING INDEX job_by_state"),
        (COUNT_TIMERS.to_owned(), "SCAN timer USING INDEX timer_by_due"),
        (timers_sql(false), "SEARCH timer USING INDEX timer_by_due (due<?)"),
        (
            timers_sql(true),
            "SEARCH timer USING INDEX timer_by_due ((due,aggregate_type,aggregate_id,name)>(?,?,?,?) AND due<?)",
        ),
        (FORGET_DONE.to_owned(), "SEARCH done USING PRIMARY KEY (consumer=? AND position=?)"),
        (REMOVE.to_owned(), &format!("SEARCH job USING INDEX {key}")),
        (remove_timers_sql(1), &format!("SEARCH timer USING INDEX {timer_key}")),
    ] {
        assert_eq!(steps(&store, sql.clone()).await, [expected], "{sql}");
    }
}
