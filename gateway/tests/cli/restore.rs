//! A journal that was restored to an older state: tokens of the lost history are refused.

use std::fs;
use std::path::Path;

use dormouse_harness::{Answer, Client, Postgres, Server, ServerBuilder, Wire};
use serde_json::json;
use tempfile::TempDir;

use super::{SOON, restock, server_in};

const STOCK: &str = "/v1/inventory/SKU-1";

fn restocked(server: &Server, change: i64) -> Answer {
    let body = json!({"change": change, "reason": "counted"});
    let answer = server.client().post(&format!("{STOCK}/update-inventory"), &body).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    answer
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The id of the message that shows a version of the aggregate.
fn id_of(server: &Server, path: &str, version: u64) -> String {
    let mut stream = Wire::connect(server.address());
    stream.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n"));
    let shown = format!("\"version\":{version}}}\n");
    let heard = stream.heard_until(&shown, SOON);
    let message = heard.split("\nid: ").find(|message| message.contains(&shown)).unwrap();
    message.lines().next().unwrap().to_owned()
}

/// The responses to a reader with a token of the log and one of the aggregate.
fn answers(client: &Client, position: &str, version: &str, tag: &str) -> Vec<(u16, String)> {
    let stream = |path: &str, id: &str| {
        let headers = [("accept", "text/event-stream"), ("last-event-id", id)];
        // An accepted stream would not end, so only refused ones are read.
        client.request("GET", path, &headers, None)
    };
    let page = |path: &str, after: &str| client.get(&format!("{path}?after={after}"));
    let wanted = [("dormouse-min-position", position)];
    let restock = json!({"change": 1, "reason": "counted"});
    let mut answers = vec![
        client.request("GET", "/v1/views/inventory/SKU-1", &wanted, None),
        page("/v1/events", position),
        page(&format!("{STOCK}/events"), version),
        client.post_with(&format!("{STOCK}/update-inventory?dry_run=true"), &[("if-match", tag)], &restock),
    ];
    if answers[1].as_ref().unwrap().status != 200 {
        answers.push(stream("/v1/events", position));
        answers.push(stream(&format!("{STOCK}/events"), version));
    }
    let results = answers.into_iter().map(|answer| {
        let answer = answer.unwrap();
        let problem = if answer.status == 200 { String::new() } else { answer.json()["type"].to_string() };
        (answer.status, problem.trim_matches('"').trim_start_matches("urn:dormouse:problem:").to_owned())
    });
    results.collect()
}

#[test]
fn tokens_of_the_lost_history_are_refused_and_earlier_ones_are_accepted_on_sqlite() {
    let (directory, backup) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let data = directory.path().join("data");
    let put_back = || {
        fs::remove_dir_all(&data).unwrap();
        copy(backup.path(), &data);
    };
    tokens_of_a_lost_history_are_refused(server_in(directory.path()), || copy(&data, backup.path()), put_back);
}

#[test]
fn tokens_of_the_lost_history_are_refused_and_earlier_ones_are_accepted_on_postgres() {
    let (directory, postgres) = (TempDir::new().unwrap(), Postgres::shared());
    let (journal, elsewhere) = (postgres.create_database(), postgres.create_database());
    let name = journal.rsplit('/').next().unwrap();
    let query = |sql: String| _ = postgres.query(&elsewhere, &sql);
    let keep = || query(format!("CREATE DATABASE {name}_backup TEMPLATE {name}"));
    let put_back = || {
        query(format!("DROP DATABASE {name} WITH (FORCE)"));
        query(format!("CREATE DATABASE {name} TEMPLATE {name}_backup"));
    };
    tokens_of_a_lost_history_are_refused(server_in(directory.path()).journal(&journal), keep, put_back);
}

/// Backup and restore both happen while no server runs.
fn tokens_of_a_lost_history_are_refused(server: ServerBuilder, back_up: impl FnOnce(), put_back: impl FnOnce()) {
    let mut server = server.start();
    restock(&server, 1);
    let kept = restocked(&server, 2);
    server.terminate();
    server.wait(SOON);
    back_up();
    server.restart();
    let lost = restocked(&server, 3);
    let token = |answer: &Answer, name: &str| answer.header(name).unwrap().to_owned();
    let [kept_position, lost_position] = [&kept, &lost].map(|answer| token(answer, "dormouse-position"));
    let [kept_tag, lost_tag] = [&kept, &lost].map(|answer| token(answer, "etag"));
    let lost_version = id_of(&server, &format!("{STOCK}/events"), 3);
    assert_eq!(id_of(&server, "/v1/events", 3), lost_position);
    server.kill();

    put_back();
    server.restart();
    restock(&server, 4);
    let kept_version = id_of(&server, &format!("{STOCK}/events"), 2);
    let ok = (200, String::new());
    let kept = answers(&server.client(), &kept_position, &kept_version, &kept_tag);
    assert_eq!(kept[..3], [ok.clone(), ok.clone(), ok]);
    let another = (409, "another-history".to_owned());
    let refused = answers(&server.client(), &lost_position, &lost_version, &lost_tag);
    let tag = (412, "version-mismatch".to_owned());
    assert_eq!(refused, [another.clone(), another.clone(), another.clone(), tag, another.clone(), another]);
}
