//! The life of a server: its output and its end.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use dormouse_harness::{Server, ServerBuilder, eventually};
use serde_json::Value;
use tempfile::TempDir;

use super::{PROGRAM, SOON, closed_pipe, command, restock, server_in};

const A_MOMENT: Duration = Duration::from_millis(200);

/// What a server answers to a head with `Expect: 100-continue` when it begins to read the body.
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

const BODY: &str = r#"{"change":1,"reason":"slow"}"#;

fn in_memory() -> ServerBuilder {
    Server::builder().program(PROGRAM).journal("memory:")
}

/// A command without its body, so that it is in progress until the test sends the body.
fn slow_command(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let length = BODY.len();
    let head = format!(
        "POST /v1/inventory/SKU-2/update-inventory HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut continues = [0; CONTINUE.len()];
    stream.read_exact(&mut continues).unwrap();
    assert_eq!(String::from_utf8_lossy(&continues), CONTINUE);
    stream
}

fn is_ready(server: &Server) -> bool {
    server.client().get("/health/ready").unwrap().status == 200
}

#[track_caller]
fn accepts_no_more(server: &Server) {
    eventually("an end of accepting", SOON, || {
        TcpStream::connect(server.address()).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
}

#[test]
fn a_server_prints_one_line_on_stdout_and_logs_json_on_stderr() {
    let mut server = in_memory().start();
    server.terminate();
    server.wait(SOON);
    let logs = server.logs();
    let (printed, logged): (Vec<_>, Vec<_>) = logs.lines().partition(|line| !line.starts_with('{'));
    assert_eq!(printed, [format!("listening on {}", server.url())]);
    let logged: Vec<Value> = logged.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let running = logged.iter().find(|line| line["message"] == "running").unwrap();
    assert_eq!(running["address"], server.address().to_string());
    assert_eq!(logged.last().unwrap()["message"], "stopped");
}

#[test]
fn without_a_command_it_serves() {
    let directory = TempDir::new().unwrap();
    let mut command =
        command(directory.path(), &["--set", "journal.url=memory:", "--set", "gateway.listen=127.0.0.1:0"]);
    // Its output has no reader, and it runs nevertheless.
    let mut child = command.stdout(closed_pipe()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut logged = String::new();
    let mut stderr = child.stderr.take().unwrap();
    eventually("a running server", SOON, || {
        let mut buffer = [0; 1024];
        let count = stderr.read(&mut buffer).unwrap();
        logged.push_str(&String::from_utf8_lossy(&buffer[..count]));
        logged.contains(r#""message":"running""#)
    });
    sleep(A_MOMENT);
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn logs_can_be_silenced_and_written_for_people() {
    let server = in_memory().set("log.level=off").start();
    assert_eq!(server.logs(), format!("listening on {}", server.url()));
    let server = in_memory().set("log.format=text").start();
    eventually("its log", SOON, || server.logs().contains("INFO dormouse::running: running address="));
}

#[test]
fn sigterm_finishes_the_request_under_way_and_exits_with_0() {
    let directory = TempDir::new().unwrap();
    let mut server = server_in(directory.path()).start();
    let mut stream = slow_command(&server);
    let idle = TcpStream::connect(server.address()).unwrap();
    server.terminate();
    accepts_no_more(&server);
    assert!(server.is_running());
    stream.write_all(BODY.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(server.wait(SOON).code(), Some(0), "{}", server.logs());
    drop(idle);

    // The event was acknowledged, so it is stored.
    server.restart();
    assert_eq!(server.client().get("/v1/inventory/SKU-2").unwrap().json()["state"]["on_hand"], 1);
}

#[test]
fn sigterm_turns_it_unready_while_it_serves_before_it_stops_accepting() {
    let mut server = in_memory().set("gateway.unready_for=1h").start();
    server.terminate();
    eventually("an unready server", SOON, || !is_ready(&server));
    // Each request has a connection of its own.
    restock(&server, 1);
    assert_eq!(server.client().get("/v1/inventory/SKU-1").unwrap().json()["state"]["on_hand"], 1);
    let health = server.client().get("/health").unwrap();
    assert_eq!((health.status, &health.json()["status"]), (200, &"degraded".into()));
    server.terminate();
    assert_eq!(server.wait(SOON).code(), Some(143), "{}", server.logs());

    // This one stops by itself when the time is up.
    let mut server = in_memory().set("gateway.unready_for=1s").start();
    let started = Instant::now();
    server.terminate();
    assert_eq!(server.wait(SOON).code(), Some(0), "{}", server.logs());
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn a_second_signal_ends_a_server_that_is_still_serving() {
    let mut server = in_memory().set("gateway.unready_for=1h").start();
    server.terminate();
    eventually("an unready server", SOON, || !is_ready(&server));
    server.terminate();
    assert_eq!(server.wait(SOON).code(), Some(143), "{}", server.logs());
}

#[test]
fn a_server_that_fails_while_it_is_still_serving_stops_at_once() {
    let directory = TempDir::new().unwrap();
    let mut first = server_in(directory.path()).set("gateway.unready_for=1h").start();
    first.terminate();
    eventually("an unready server", SOON, || !is_ready(&first));
    let _second = server_in(directory.path()).start();
    // The server notices at its next write, and may end before it answers.
    let _refused = first.client().post("/v1/inventory/SKU-1/update-inventory", &serde_json::from_str(BODY).unwrap());
    assert_eq!(first.wait(SOON).code(), Some(1), "{}", first.logs());
}

#[test]
fn a_request_that_does_not_end_is_cut_off_when_time_is_up() {
    let mut server = in_memory().set("gateway.drain_timeout=500ms").start();
    let _stream = slow_command(&server);
    let started = Instant::now();
    server.terminate();
    assert_eq!(server.wait(SOON).code(), Some(0), "{}", server.logs());
    assert!((Duration::from_millis(500)..SOON / 2).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = in_memory().start();
    let _stream = slow_command(&server);
    server.terminate();
    // It has taken the first signal, or the two could merge into one.
    accepts_no_more(&server);
    assert!(server.is_running());
    server.terminate();
    assert_eq!(server.wait(SOON).code(), Some(143), "{}", server.logs());
}

#[test]
fn running_out_of_files_is_survived_and_warned_of() {
    let directory = TempDir::new().unwrap();
    // The harness runs `sh serve --set …`, which is this script.
    fs::write(directory.path().join("serve"), format!("ulimit -n 40; exec {PROGRAM} serve \"$@\"")).unwrap();
    let server = Server::builder().program("sh").working_directory(directory.path()).journal("memory:").start();
    let warning = r#""message":"the limit on open files is too low for gateway.max_connections: raise it (ulimit -n)""#;
    eventually("the warning", SOON, || server.logs().contains(warning));

    let connections: Vec<_> = (0..60).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    eventually("a lack of files", SOON, || server.logs().contains("cannot accept connections"));
    drop(connections);
    assert_eq!(server.client().get("/health/live").unwrap().status, 200);
}

#[test]
fn a_server_that_loses_its_journal_says_so_and_exits_with_1() {
    let directory = TempDir::new().unwrap();
    let mut first = server_in(directory.path()).start();
    restock(&first, 1);
    let second = server_in(directory.path()).start();
    restock(&second, 2);

    // The server notices at its next write.
    let refused = first.client().post("/v1/inventory/SKU-1/update-inventory", &serde_json::from_str(BODY).unwrap());
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status >= 500));
    assert_eq!(first.wait(SOON).code(), Some(1));
    let expected = "\ndormouse: another process has taken over the journal";
    eventually("its last words", SOON, || first.logs().contains(expected));
    restock(&second, 3);
}

#[test]
fn a_second_server_on_the_same_port_leaves_the_journal_of_the_first_alone() {
    let directory = TempDir::new().unwrap();
    let first = server_in(directory.path()).start();
    let refused = server_in(directory.path()).set(format!("gateway.listen={}", first.address())).try_start();
    assert!(refused.unwrap_err().logs().contains("dormouse: cannot listen on "));
    restock(&first, 1);
}
