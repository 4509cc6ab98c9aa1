//! `failed`, on a server whose listeners fail.

use serde_json::{Value, json};

use super::post_office::Office;

/// The ids of the dead letters of the handler.
fn dead_letters(office: &Office) -> Vec<String> {
    let failed: Value = serde_json::from_str(&office.printed(&["failed", "list", "handler/post", "--json"])).unwrap();
    failed.as_array().unwrap().iter().map(|failed| failed["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_operator_finds_failed_jobs_and_repeats_them_after_the_cause_is_mended() {
    let office = Office::open();
    assert_eq!(office.printed(&["failed", "list"]), "there are no dead letters\n");
    for (id, text) in [("l-1", "bad news"), ("l-1", "later"), ("l-2", "good"), ("l-3", "bad weather")] {
        office.write(id, text);
    }
    office.has_dead("handler/post", 2);
    assert_eq!(office.delivered(), ["good"]);

    let listed = office.printed(&["failed", "list"]);
    assert!(listed.lines().next().unwrap().starts_with("LISTENER "), "{listed}");
    let line = listed.lines().find(|line| line.contains("letter/l-1")).unwrap();
    assert!(line.starts_with("handler/post ") && line.ends_with("nobody takes \"bad news\""), "{listed}");
    let ids = dead_letters(&office);
    assert_eq!(ids.len(), 2);
    assert!(office.printed(&["failed", "list", "--limit", "1"]).ends_with("1 more: --limit shows them\n"));

    let shown = office.printed(&["failed", "show", "handler/post", &ids[0]]);
    for part in [
        "Written, version 1 of letter/l-1: a dead letter after 2 attempts\n",
        "  attempt 1 at 20",
        "  attempt 2 at 20",
        ": nobody takes \"bad news\"\n",
        "    \"text\": \"bad news\"",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown: Value =
        serde_json::from_str(&office.printed(&["failed", "show", "handler/post", &ids[0], "--json"])).unwrap();
    assert_eq!((&shown["attempts"], &shown["state"]), (&json!(2), &json!("dead")));

    office.mend();
    let retried = office.printed(&["failed", "retry", "handler/post", &ids[0]]);
    assert_eq!(retried, format!("handler/post: {} is attempted again\n", ids[0]));
    office.has_dead("handler/post", 1);
    assert_eq!(office.delivered(), ["good", "bad news", "later"]);
    let retried = office.printed(&["failed", "retry", "handler/post", "--all"]);
    assert_eq!(retried, "handler/post: 1 dead letters are attempted again\n");
    office.has_dead("handler/post", 0);
    assert_eq!(office.delivered(), ["good", "bad news", "later", "bad weather"]);
    let gone = office.dormouse(&["failed", "show", "handler/post", &ids[0]]);
    assert_eq!(gone.code, Some(1), "{gone:?}");
    office.close();
}

#[test]
fn a_skipped_job_is_never_done_and_the_next_one_is() {
    let office = Office::open();
    office.write("l-1", "bad news");
    office.write("l-1", "later");
    office.has_dead("handler/post", 1);
    let ids = dead_letters(&office);
    let skipped = office.printed(&["failed", "skip", "handler/post", &ids[0]]);
    assert_eq!(skipped, format!("handler/post: {} was skipped\n", ids[0]));
    office.has_dead("handler/post", 0);
    assert_eq!(office.delivered(), ["later"]);
    let wrong = office.dormouse(&["failed", "skip", "handler/post", "first"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("\"first\" is not the id of a job, such as 1234 or 1234.5"), "{wrong:?}");
    office.close();
}

#[test]
fn a_flush_asks_first() {
    let office = Office::open();
    office.write("l-1", "bad news");
    office.has_dead("handler/post", 1);
    let asked = office.dormouse(&["failed", "flush", "handler/post"]);
    let expected = "dormouse: 1 dead letters of handler/post are given up, what they had to do is never done: repeat the \
                    command with --yes to do it\n";
    assert_eq!((asked.code, asked.stderr.as_str()), (Some(2), expected));
    office.has_dead("handler/post", 1);
    let flushed = office.printed(&["failed", "flush", "--all", "--yes"]);
    assert_eq!(flushed, "all listeners: 1 dead letters were given up\n");
    office.has_dead("handler/post", 0);
    let nothing = office.printed(&["failed", "flush", "--all"]);
    assert_eq!(nothing, "all listeners: 0 dead letters were given up\n");
    for incomplete in
        [&["failed", "flush"][..], &["failed", "retry", "handler/post"], &["failed", "skip", "handler/post"]]
    {
        assert_eq!(office.dormouse(incomplete).code, Some(2), "{incomplete:?}");
    }
    office.close();
}

#[test]
fn more_dead_letters_than_fit_a_request_are_retried_and_flushed() {
    const LETTERS: u64 = 620;
    let office = Office::open();
    for number in 0..LETTERS {
        office.write(&format!("l-{number}"), "smudged");
    }
    office.has_dead("reactor/filing", LETTERS);
    let flushed = office.printed(&["failed", "flush", "reactor/filing", "--yes"]);
    assert_eq!(flushed, "reactor/filing: 620 dead letters were given up\n");
    office.has_dead("reactor/filing", 0);

    for number in 0..LETTERS {
        office.write(&format!("l-{number}"), "smudged");
    }
    office.has_dead("reactor/filing", LETTERS);
    let listed = office.printed(&["failed", "list", "--limit", "610"]);
    assert_eq!(listed.lines().count(), 612, "a heading, and what is left out");
    // They fail again, and none is taken twice for that.
    let retried = office.printed(&["failed", "retry", "reactor/filing", "--all"]);
    assert_eq!(retried, "reactor/filing: 620 dead letters are attempted again\n");
    office.has_dead("reactor/filing", LETTERS);
    let failed: Value = serde_json::from_str(&office.printed(&["failed", "list", "--limit", "620", "--json"])).unwrap();
    let attempts: Vec<&Value> = failed.as_array().unwrap().iter().map(|failed| &failed["attempts"]).collect();
    assert!(attempts.len() == 620 && attempts.iter().all(|attempts| **attempts == 2), "{attempts:?}");

    Office::learn_to_read();
    office.printed(&["failed", "retry", "reactor/filing", "--all"]);
    office.has_dead("reactor/filing", 0);
    office.close();
}
