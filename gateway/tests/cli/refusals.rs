//! Errors: one line each, and an exit code.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use dormouse_harness::{PgBouncer, Postgres, Server};
use tempfile::TempDir;

use super::{PROGRAM, SOON, run, run_in, server_in};

/// Checks that a wrong command line or configuration is reported in one line, and that nothing else is printed.
#[track_caller]
fn wrong_use(arguments: &[&str], message: &str) {
    let ended = run(arguments);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
    assert_eq!(ended.stderr, format!("dormouse: {message}\n"));
}

/// The one line that says why a server does not start.
#[track_caller]
fn refusal(directory: &Path, settings: &[&str]) -> String {
    let server = settings.iter().fold(server_in(directory), |server, setting| server.set(*setting));
    let refused = server.try_start().unwrap_err();
    assert_eq!(refused.status().and_then(|status| status.code()), Some(1), "{refused}");
    let mut lines = refused.logs().lines().filter_map(|line| line.strip_prefix("dormouse: "));
    let line = lines.next().unwrap_or_else(|| panic!("it printed nothing: {refused}"));
    assert_eq!(lines.next(), None, "{refused}");
    line.to_owned()
}

/// A journal that was closed in good order.
fn closed_journal() -> TempDir {
    let directory = TempDir::new().unwrap();
    let mut server = server_in(directory.path()).start();
    server.terminate();
    server.wait(SOON);
    directory
}

#[test]
fn an_invalid_command_line_is_refused() {
    wrong_use(&["serv"], "unrecognized subcommand 'serv', a similar subcommand exists: 'serve' (see dormouse --help)");
    wrong_use(
        &["serve", "--sett", "a=1"],
        "unexpected argument '--sett' found, a similar argument exists: '--set' (see dormouse --help)",
    );
    wrong_use(
        &["events", "show", "order"],
        "the following required arguments were not provided: <ID> (see dormouse --help)",
    );
    wrong_use(
        &["events", "show", "Order", "o-1"],
        "the aggregate type is not made of lower-case words joined by dashes, such as \"stock-item\"",
    );
}

#[test]
fn an_invalid_configuration_is_refused() {
    wrong_use(
        &["config", "check", "--set", "gateway.lisen=x"],
        "--set: unknown key `gateway.lisen`, the nearest known key is `gateway.listen`",
    );
    wrong_use(
        &["serve", "--config", "missing.toml"],
        "cannot read the configuration file missing.toml: No such file or directory (os error 2)",
    );
    wrong_use(
        &["migrate", "--profile", "prod"],
        "unknown profile `prod`, the profiles are development, production, enterprise",
    );
    wrong_use(&["serve", "--set", "runtime.shards"], "--set runtime.shards: expected section.key=value");
}

#[test]
fn listening_beyond_loopback_without_authentication_is_refused() {
    wrong_use(
        &["serve", "--set", "gateway.listen=0.0.0.0:0"],
        "--set: gateway.listen = \"0.0.0.0:0\" is refused, expected a loopback address while auth.mode is \"none\", \
         unless gateway.allow_unauthenticated is true",
    );
}

#[test]
fn listening_beyond_loopback_is_possible_on_request() {
    let server = Server::builder().program(PROGRAM).journal("memory:");
    let server = server.set("gateway.listen=0.0.0.0:0").set("gateway.allow_unauthenticated=true").start();
    assert!(server.address().ip().is_unspecified());
}

#[test]
fn a_port_that_is_in_use_is_reported() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = TempDir::new().unwrap();
    let line = refusal(directory.path(), &[&format!("gateway.listen={address}")]);
    assert!(line.starts_with(&format!("cannot listen on {address}: Address already in use")), "{line}");
    assert!(line.ends_with("set another gateway.listen"), "{line}");
    assert!(!directory.path().join("data").exists(), "it opened the journal first");
}

#[test]
fn a_file_that_is_not_a_journal_is_refused() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("data")).unwrap();
    fs::write(directory.path().join("data/journal.db"), "Dear diary, ".repeat(1000)).unwrap();
    let line = refusal(directory.path(), &[]);
    assert_eq!(line, "./data/journal.db is not a Dormouse journal: it is not a database");
}

#[test]
fn a_journal_of_a_newer_version_is_refused() {
    let directory = closed_journal();
    let file = directory.path().join("data/journal.db");
    let mut bytes = fs::read(&file).unwrap();
    // `user_version` (https://sqlite.org/fileformat.html#the_database_header).
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&file, bytes).unwrap();

    let expected = "the journal at ./data has schema version 99, this binary knows it up to 1: use a newer dormouse";
    assert_eq!(refusal(directory.path(), &[]), expected);
    for arguments in [&["migrate"][..], &["events", "show", "order", "o-1"]] {
        let ended = run_in(directory.path(), arguments);
        assert_eq!((ended.code, ended.stderr), (Some(1), format!("dormouse: {expected}\n")), "{arguments:?}");
    }
}

#[test]
fn a_pooler_that_drops_the_settings_of_connections_is_refused() {
    let postgres = Postgres::shared();
    let direct = postgres.create_database();
    let database = direct.rsplit('/').next().unwrap();
    let directory = TempDir::new().unwrap();
    for (mode, ignored, expected) in [
        ("session", "", "unsupported startup parameter"),
        ("session", "extra_float_digits", "unsupported startup parameter: options: a pooler in between"),
        ("session", "extra_float_digits,options", "something between here and PostgreSQL drops the `options`"),
        ("transaction", "extra_float_digits,options", "something between here and PostgreSQL drops the `options`"),
    ] {
        let bouncer = PgBouncer::start(postgres, mode, ignored);
        let line = refusal(directory.path(), &[&format!("journal.url={}", bouncer.url(database))]);
        assert!(line.starts_with("cannot open the journal at postgres://"), "{line}");
        assert!(line.contains(expected) && line.contains("connect to PostgreSQL directly"), "{line}");
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    assert_eq!(postgres.query(&direct, tables), "0", "it created tables in the wrong schema");
}

#[test]
fn a_directory_that_cannot_be_created_is_reported() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let line = refusal(directory.path(), &["journal.url=sqlite://file/data"]);
    assert_eq!(line, "cannot open the journal at file/data: Not a directory (os error 20)");
}

#[test]
fn a_missing_journal_cannot_be_read() {
    let directory = TempDir::new().unwrap();
    let ended = run_in(directory.path(), &["events", "show", "order", "o-1"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr, "dormouse: cannot open the journal at ./data: there is no ./data/journal.db\n");
    assert!(!directory.path().join("data").exists(), "reading created it");

    let ended = run(&["events", "show", "order", "o-1", "--set", "journal.url=memory:"]);
    assert_eq!(ended.stderr, "dormouse: journal.url is memory:, which only the server's own process can read\n");
}
