//! A server with a certificate, from its start to its renewal, and one whose database has a certificate, as operators
//! use them.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use dormouse_harness::{Authority, Certificate, Postgres, eventually, raise_file_limit};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use ureq::{Agent, tls};

use super::{SOON, command, restock, run_in, server_in};

/// Connections of a peer that sends nothing.
const SILENT: usize = 5_000;

/// The default of `gateway.tls.handshakes`.
const HANDSHAKES: usize = 1_000;

/// Connections that are opened before the other clients go on: fewer than the handshakes, so that none of those clients
/// has so many newer connections during its handshake that it is displaced.
const PART: usize = HANDSHAKES * 3 / 4;

/// Files that this process and the server need beside those connections.
const OTHER_FILES: usize = 1_000;

/// A server with a certificate. It ends with the test.
struct Site {
    directory: TempDir,
    child: Child,
    url: String,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn write(directory: &Path, files: &Certificate) {
    fs::write(directory.join("server.pem"), &files.certificate).unwrap();
    fs::write(directory.join("server.key"), &files.key).unwrap();
}

impl Site {
    fn start(authority: &Authority, arguments: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        write(directory.path(), &authority.server(&["localhost", "127.0.0.1"]));
        fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        let set = ["gateway.listen=127.0.0.1:0", "gateway.tls.certificate=server.pem", "gateway.tls.key=server.key"];
        let set = set.iter().chain(["journal.url=memory:"].iter()).chain(arguments);
        let arguments: Vec<&str> = ["serve"].into_iter().chain(set.flat_map(|set| ["--set", set])).collect();
        let mut command = command(directory.path(), &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        assert!(url.starts_with("https://"), "{url}");
        Self { directory, child, url }
    }

    /// What a command of the command line says with these arguments about the server.
    #[track_caller]
    fn queues(&self, arguments: &[&str]) -> Result<String, String> {
        let arguments = [&["queues", "status", "--server", &self.url], arguments].concat();
        let ended = run_in(self.directory.path(), &arguments);
        if ended.code == Some(0) { Ok(ended.stdout) } else { Err(ended.stderr) }
    }

    fn hang_up(&self) {
        let hangup = rustix::process::Signal::HUP;
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), hangup).unwrap();
    }
}

#[test]
fn the_command_line_reaches_a_server_whose_authority_it_is_told() {
    let site = Site::start(&Authority::new("first"), &[]);
    assert!(site.queues(&["--ca", "ca.pem"]).unwrap().contains("default"));
    let untrusted = site.queues(&[]).unwrap_err();
    assert!(untrusted.contains("--ca"), "{untrusted}");
    let missing = site.queues(&["--ca", "none.pem"]).unwrap_err();
    assert!(missing.contains("--ca none.pem: No such file"), "{missing}");
    let plain = run_in(site.directory.path(), &["queues", "status", "--server", &site.url.replace("https", "http")]);
    assert!(plain.stderr.contains("https://"), "{plain:?}");
}

#[test]
fn a_client_proves_with_its_certificate_who_it_is() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let shared = TempDir::new().unwrap();
    let clients_pem = shared.path().join("clients.pem");
    fs::write(&clients_pem, clients.pem()).unwrap();
    let site = Site::start(&servers, &[&format!("gateway.tls.client_ca={}", clients_pem.display())]);
    let own = clients.client("operator");
    fs::write(site.directory.path().join("own.pem"), &own.certificate).unwrap();
    fs::write(site.directory.path().join("own.key"), &own.key).unwrap();
    let known = ["--ca", "ca.pem", "--client-certificate", "own.pem", "--client-key", "own.key"];
    assert!(site.queues(&known).unwrap().contains("default"));
    site.queues(&["--ca", "ca.pem"]).unwrap_err();
}

#[test]
fn a_client_with_a_named_certificate_has_the_roles_of_that_name() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let shared = TempDir::new().unwrap();
    let clients_pem = shared.path().join("clients.pem");
    fs::write(&clients_pem, clients.pem()).unwrap();
    let site = Site::start(
        &servers,
        &[
            &format!("gateway.tls.client_ca={}", clients_pem.display()),
            "auth.mode=jwt",
            r#"auth.certificates={ "operator.example.org" = ["admin"], "reader.example.org" = ["reader"] }"#,
        ],
    );
    let asked_by = |name: &str| {
        let own = clients.client(name);
        fs::write(site.directory.path().join("own.pem"), &own.certificate).unwrap();
        fs::write(site.directory.path().join("own.key"), &own.key).unwrap();
        site.queues(&["--ca", "ca.pem", "--client-certificate", "own.pem", "--client-key", "own.key"])
    };
    assert!(asked_by("operator.example.org").unwrap().contains("default"));
    assert!(asked_by("Operator.Example.ORG").unwrap().contains("default"));
    for (name, said) in [("reader.example.org", "may not do admin.queues"), ("stranger.example.org", "Authorization")] {
        let refused = asked_by(name).unwrap_err();
        assert!(refused.contains(said), "{name}: {refused}");
    }
}

#[test]
fn sighup_renews_the_certificate_of_a_running_server() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let site = Site::start(&first, &[]);
    site.queues(&["--ca", "ca.pem"]).unwrap();
    write(site.directory.path(), &second.server(&["127.0.0.1"]));
    fs::write(site.directory.path().join("second.pem"), second.pem()).unwrap();
    site.hang_up();
    eventually("the renewed certificate", SOON, || site.queues(&["--ca", "second.pem"]).is_ok());
}

#[test]
fn postgres_is_spoken_to_over_tls_and_only_with_a_certificate_of_the_authority_that_the_url_names() {
    let (authority, directory) = (Authority::new("databases"), TempDir::new().unwrap());
    let postgres = Postgres::start_encrypted(&authority.server(&["127.0.0.1"]));
    let database = postgres.create_database();
    let (ours, foreign) = (directory.path().join("ours.pem"), directory.path().join("foreign.pem"));
    fs::write(&ours, authority.pem()).unwrap();
    fs::write(&foreign, Authority::new("databases").pem()).unwrap();
    let url = |root: &Path| format!("{database}?sslmode=verify-full&sslrootcert={}", root.display());

    let server = server_in(directory.path()).journal(url(&ours)).start();
    restock(&server, 1);
    eventually("the view", SOON, || server.client().get("/v1/views/inventory/SKU-1").unwrap().status == 200);
    let sessions = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl
                    JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'dormouse%'";
    let found = postgres.query(&database, sessions);
    let (encrypted, plain) = found.split_once('|').unwrap();
    assert!(encrypted.parse::<u32>().unwrap() > 2 && plain == "0", "{found}");
    drop(server);

    let refused = server_in(directory.path()).journal(url(&foreign)).try_start().unwrap_err();
    assert!(refused.to_string().to_lowercase().contains("certificate"), "{refused}");
}

/// A client that makes a new connection for each request.
fn client_of(authority: &Authority) -> Agent {
    let root = tls::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let tls = tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(tls::RootCerts::new_with_certs(&[root]))
        .build();
    let config = Agent::config_builder().tls_config(tls).proxy(None).max_idle_connections(0);
    config.timeout_global(Some(SOON)).build().new_agent()
}

/// Sends requests until there are enough, and counts the answers. Returns what went wrong, if anything did.
fn ask_until(enough: &AtomicBool, client: &Agent, url: &str, answers: &AtomicU32) -> Result<(), ureq::Error> {
    while !enough.load(Ordering::Relaxed) {
        client.get(format!("{url}/health/ready")).call()?;
        answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Waits until each client has two more answers, or one of them has failed. The second answer is to a request that was
/// sent after this began, so the server has accepted all earlier connections by then. The timeout of the requests bounds
/// the time.
fn await_answers(answers: &[AtomicU32], has_failed: impl Fn() -> bool) {
    let counted = || answers.iter().map(|answers| answers.load(Ordering::Relaxed));
    let wanted: Vec<u32> = counted().map(|count| count + 2).collect();
    while !has_failed() && counted().zip(&wanted).any(|(count, wanted)| count < *wanted) {
        sleep(Duration::from_millis(1));
    }
}

/// Whether the server closes a connection soon.
fn is_closed_soon(mut connection: &TcpStream) -> bool {
    connection.set_read_timeout(Some(SOON)).unwrap();
    match connection.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// How many handshakes ended in this way, as the metrics say.
fn handshakes(client: &Agent, url: &str, result: &str) -> usize {
    let metrics = client.get(format!("{url}/metrics")).call().unwrap().body_mut().read_to_string().unwrap();
    let name = format!("dormouse_tls_handshakes_total{{result=\"{result}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

#[test]
fn thousands_of_connections_without_a_handshake_are_closed_while_other_clients_are_answered() {
    let silent = SILENT.min(raise_file_limit().saturating_sub(OTHER_FILES));
    eprintln!("{silent} connections that send nothing");
    assert!(silent >= 2 * HANDSHAKES, "so few files show nothing: raise the limit (ulimit -Hn)");
    let authority = Authority::new("authority");
    let site = Site::start(&authority, &["gateway.tls.handshake_timeout=5s"]);
    let (client, enough) = (&client_of(&authority), &AtomicBool::new(false));
    let answers: [AtomicU32; 4] = Default::default();
    let (url, address) = (&site.url, site.url.strip_prefix("https://").unwrap().parse().unwrap());
    // A panic in here would wait for the clients forever.
    let (connections, first_open, asked) = thread::scope(|scope| {
        let ask = |answers| scope.spawn(move || ask_until(enough, client, url, answers));
        let others: Vec<_> = answers.iter().map(ask).collect();
        let connect = |number: usize| {
            if number.is_multiple_of(PART) {
                await_answers(&answers, || others.iter().any(|other| other.is_finished()));
            }
            TcpStream::connect_timeout(&address, SOON)
        };
        let connections: io::Result<Vec<_>> = (0..silent).map(connect).collect();
        let first_open = connections.iter().flatten().position(|connection| !is_closed_soon(connection));
        enough.store(true, Ordering::Relaxed);
        let asked: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        (connections, first_open, asked)
    });
    assert_eq!(connections.unwrap().len(), silent);
    assert_eq!(first_open, None, "the server has not closed it");
    for asked in asked {
        asked.unwrap();
    }
    let ended = |result| handshakes(client, &site.url, result);
    eventually("each of them is counted", SOON, || ended("displaced") + ended("timeout") == silent);
    assert!(ended("displaced") > 0, "one handshake too many ends the oldest");
    assert!(ended("timeout") > 0, "the others have until the timeout");
    assert_eq!(ended("failed"), 0);
}
