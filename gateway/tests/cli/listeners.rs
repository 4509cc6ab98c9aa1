//! `listeners`, `queues` and `timers`, on a server that runs.

use serde_json::{Value, json};

use super::post_office::Office;

/// The cells of the line that begins with this word.
#[track_caller]
fn line<'t>(table: &'t str, first: &str) -> Vec<&'t str> {
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.into_iter().find(|cells| cells.first() == Some(&first)).unwrap_or_else(|| panic!("{first}: {table}"))
}

#[test]
fn an_operator_pauses_a_listener_and_resumes_it() {
    let office = Office::open();
    office.write("l-1", "first");
    office.has_dead("handler/post", 0);
    let listed = office.printed(&["listeners", "list"]);
    assert_eq!(line(&listed, "handler/post")[1..3], ["running", "default"], "{listed}");
    for name in ["NAME", "messages", "reactor/filing", "timers"] {
        line(&listed, name);
    }

    let paused = office.printed(&["listeners", "pause", "handler/post", "timers"]);
    assert!(paused.starts_with("handler/post: paused at position ") && paused.lines().count() == 2, "{paused}");
    office.write("l-1", "second");
    office.has_dead("reactor/filing", 0);
    assert_eq!(office.delivered(), ["first"]);
    assert_eq!(line(&office.printed(&["listeners", "list"]), "timers")[1], "paused");

    let resumed = office.printed(&["listeners", "resume", "handler/post", "timers"]);
    assert!(resumed.starts_with("handler/post: running at position "), "{resumed}");
    office.has_dead("handler/post", 0);
    assert_eq!(office.delivered(), ["first", "second"]);
    office.close();
}

#[test]
fn a_disabled_listener_does_nothing_for_the_events_that_it_passes() {
    let office = Office::open();
    assert!(office.printed(&["listeners", "disable", "handler/post"]).starts_with("handler/post: disabled"));
    office.write("l-1", "unseen");
    office.has_dead("handler/post", 0);
    assert!(office.printed(&["listeners", "enable", "handler/post"]).starts_with("handler/post: running"));
    office.write("l-1", "seen");
    office.has_dead("handler/post", 0);
    assert_eq!(office.delivered(), ["seen"]);
    office.close();
}

#[test]
fn an_unknown_listener_is_a_wrong_command_line_and_nothing_is_done() {
    let office = Office::open();
    let refused = office.dormouse(&["listeners", "pause", "handler/post", "handler/pots"]);
    let expected = "dormouse: there is no listener \"handler/pots\"; known: messages, operations, reactor/filing, handler/post, timers\n";
    assert_eq!((refused.code, refused.stderr.as_str()), (Some(2), expected));
    assert_eq!(line(&office.printed(&["listeners", "list"]), "handler/post")[1], "running");
    let refused = office.dormouse(&["failed", "list", "handler/pots"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("did you mean \"handler/post\"?"), "{refused:?}");
    office.close();
}

#[test]
fn the_configuration_keeps_a_listener_paused_whatever_operators_do() {
    let office = Office::open();
    office.printed(&["config", "set", "listeners.paused=[\"handler/post\"]"]);
    let refused = office.dormouse(&["listeners", "resume", "handler/post"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("listeners.paused of the configuration"), "{refused:?}");
    let refused = office.dormouse(&["config", "set", "listeners.paused=[\"handler/pots\"]"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("did you mean \"handler/post\"?"), "{refused:?}");
    office.printed(&["config", "set", "listeners.paused=[]"]);
    office.write("l-1", "first");
    office.has_dead("handler/post", 0);
    office.close();
}

#[test]
fn the_queues_that_listeners_use_are_shown_or_all() {
    let office = Office::open();
    let used = office.printed(&["queues", "status"]);
    assert_eq!(line(&used, "default").last(), Some(&"handler/post"), "{used}");
    assert_eq!(used.lines().count(), 4, "a heading, messages, default and commands: {used}");
    let all: Value = serde_json::from_str(&office.printed(&["queues", "status", "--all", "--json"])).unwrap();
    let names: Vec<&Value> = all["queues"].as_array().unwrap().iter().map(|queue| &queue["name"]).collect();
    assert_eq!(names, ["messages", "default", "projections", "modules", "commands"]);
    office.close();
}

#[test]
fn timers_are_listed_by_the_time_at_which_they_are_due() {
    let office = Office::open();
    assert_eq!(office.printed(&["timers", "list"]), "no timer is set\n");
    for id in ["l-1", "l-2"] {
        office.send(id, "remind", &json!({"seconds": 3600}));
    }
    let started = std::time::Instant::now();
    let listed = loop {
        let listed = office.printed(&["timers", "list"]);
        if listed.lines().count() == 5 {
            break listed;
        }
        assert!(started.elapsed() < super::SOON, "{listed}");
    };
    let rows: Vec<Vec<&str>> = listed.lines().skip(1).map(|line| line.split_whitespace().skip(1).collect()).collect();
    assert_eq!(rows[0], ["letter/l-1", "once", "1"], "{listed}");
    assert_eq!(rows[2], ["letter/l-1", "weekly", "every", "25200s", "1"], "{listed}");
    assert!(office.printed(&["timers", "list", "--limit", "3"]).ends_with("1 more: --limit shows them\n"));
    let timers: Value = serde_json::from_str(&office.printed(&["timers", "list", "--limit", "1", "--json"])).unwrap();
    assert_eq!((&timers[0]["name"], &timers[1]), (&json!("once"), &Value::Null));
    office.close();
}

#[test]
fn the_catalogue_names_listeners_and_metrics_count_their_jobs() {
    let office = Office::open();
    let catalogue = office.printed(&["events", "catalogue", "letter"]);
    assert!(catalogue.trim_end().ends_with("handler/post, reactor/filing"), "{catalogue}");
    let metrics = office.client().get("/metrics").unwrap().text();
    for line in [
        r#"dormouse_jobs{listener="handler/post",state="dead"} "#,
        r#"dormouse_consumer_lag_events{listener="reactor/filing"} "#,
        r#"queue_depth{queue="default"} "#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    office.close();
}
