//! A PostgreSQL cluster that a test starts in a temporary directory, on a free port of the loopback interface.
//!
//! Durability is PostgreSQL's default (`fsync=on`), because tests that kill the server rely on it.

mod bouncer;
mod replica;

use std::env;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::Certificate;
use crate::guard::{Guarded, Orphan, guarded};
pub use bouncer::PgBouncer;

const SETTINGS: [&str; 3] = ["listen_addresses=127.0.0.1", "shared_buffers=64MB", "max_connections=200"];

const START_BOUND: Duration = Duration::from_secs(30);
const STOP_BOUND: Duration = Duration::from_secs(10);

/// Another process may take a port between the search and its use; then another port is tried.
const PORT_ATTEMPTS: u32 = 5;

const LOG_TAIL_LINES: usize = 30;

/// A running cluster, or a stopped one that can be started again. When it is dropped, the server stops and its files
/// are removed.
#[derive(Debug)]
pub struct Postgres {
    directory: TempDir,
    programs: PathBuf,
    account: Option<Account>,
    port: u16,
    server: Option<Guarded>,
    databases: AtomicU32,
}

/// The account that runs the server if the test runs as root: PostgreSQL refuses to run as root.
#[derive(Debug, Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl Postgres {
    /// The server that all tests of this process share. The first call starts it. Each test creates a database of its
    /// own: [`Postgres::create_database`].
    pub fn shared() -> &'static Self {
        // A static is never dropped; the watchdog stops the server and removes its files when the process ends.
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A separate server, for tests that stop it.
    ///
    /// # Panics
    /// When it does not start; the message shows the tail of its log.
    #[must_use]
    pub fn start() -> Self {
        let mut postgres = Self::without_files();
        postgres.create_cluster();
        postgres.start_somewhere();
        postgres
    }

    /// A separate server that also speaks TLS, with this certificate.
    ///
    /// # Panics
    /// When it does not start; the message shows the tail of its log.
    #[must_use]
    pub fn start_encrypted(certificate: &Certificate) -> Self {
        let mut postgres = Self::without_files();
        postgres.create_cluster();
        postgres.write("server.crt", &certificate.certificate);
        postgres.write("server.key", &certificate.key);
        postgres.write("postgresql.auto.conf", "ssl = on\n");
        postgres.start_somewhere();
        postgres
    }

    /// The URL of a database in this cluster.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Creates an empty database with a new name and returns its URL.
    #[must_use]
    pub fn create_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("dormouse_{number}");
        self.query(&self.url("postgres"), &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Runs SQL with psql; rows are lines, columns separated by `|`.
    ///
    /// # Panics
    /// When it fails; the message is psql's.
    #[track_caller]
    pub fn query(&self, url: &str, sql: &str) -> String {
        let output = self.psql(url, sql);
        assert!(output.status.success(), "`{sql}` failed: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Stops the server as a crash does: without a checkpoint, all connections are cut, and the next start runs
    /// recovery. Returns when the process has ended.
    pub fn stop_immediate(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        server.signal(Signal::QUIT);
        assert!(
            server.wait(STOP_BOUND).is_some(),
            "PostgreSQL did not stop within {STOP_BOUND:?}:\n{}",
            self.log_tail()
        );
    }

    /// Starts a stopped server again, on the same port.
    ///
    /// # Panics
    /// When it does not start; the message shows the tail of its log.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "PostgreSQL runs already");
        if let Err(log) = self.try_start() {
            panic!("PostgreSQL does not start again:\n{log}");
        }
    }

    fn without_files() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("dormouse-postgres-")
            .tempdir()
            .expect("a temporary directory can be created");
        let account = Account::for_server();
        if let Some(Account { user, group }) = account {
            chown(directory.path(), Some(user), Some(group)).expect("root can give a directory away");
        }
        Self { directory, programs: programs(), account, port: 0, server: None, databases: AtomicU32::new(0) }
    }

    fn start_somewhere(&mut self) {
        for _ in 0..PORT_ATTEMPTS {
            self.port = free_port();
            match self.try_start() {
                Ok(()) => return,
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("PostgreSQL does not start:\n{log}"),
            }
        }
        panic!("PostgreSQL found no free port in {PORT_ATTEMPTS} attempts");
    }

    fn create_cluster(&self) {
        let mut initdb = Command::new(self.programs.join("initdb"));
        initdb
            .arg("-D")
            .arg(self.cluster())
            .args(["--no-sync", "--auth=trust", "--username=postgres"])
            .args(["--encoding=UTF8", "--locale=C"]);
        self.as_account(&mut initdb);
        let output = initdb.output().expect("initdb can be run");
        assert!(output.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Writes a file of the cluster that only its account can read.
    fn write(&self, name: &str, content: &str) {
        let path = self.cluster().join(name);
        fs::write(&path, content).expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its owner can set permissions");
        if let Some(Account { user, group }) = self.account {
            chown(&path, Some(user), Some(group)).expect("root can give a file away");
        }
    }

    /// `Err` is the tail of the log.
    fn try_start(&mut self) -> Result<(), String> {
        let log = OpenOptions::new().append(true).create(true).open(self.log());
        let log = log.expect("the log can be opened");
        let mut command = guarded(self.programs.join("postgres"));
        command
            .arg("-D")
            .arg(self.cluster())
            .arg("-p")
            .arg(self.port.to_string())
            .arg("-k")
            .arg(self.directory.path())
            .args(SETTINGS.into_iter().flat_map(|setting| ["-c", setting]))
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        self.as_account(&mut command);
        let orphan = Orphan { signal: "QUIT", directory: Some(self.directory.path()) };
        let mut server = Guarded::start(command, &orphan);

        let deadline = Instant::now() + START_BOUND;
        while !self.answers() {
            if let Some(status) = server.status() {
                return Err(format!("{status}\n{}", self.log_tail()));
            }
            if Instant::now() > deadline {
                server.signal(Signal::QUIT);
                server.wait(STOP_BOUND);
                return Err(format!("not within {START_BOUND:?}\n{}", self.log_tail()));
            }
            sleep(Duration::from_millis(20));
        }
        self.server = Some(server);
        Ok(())
    }

    fn answers(&self) -> bool {
        self.psql(&self.url("postgres"), "SELECT 1").status.success()
    }

    pub(crate) fn psql(&self, url: &str, sql: &str) -> Output {
        Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
            .args(["--set", "ON_ERROR_STOP=1", "--dbname", url, "--command", sql])
            .output()
            .expect("psql can be run")
    }

    fn as_account(&self, command: &mut Command) {
        // Both programs enter their working directory, and the account may not have access to ours.
        command.current_dir(self.directory.path());
        if let Some(Account { user, group }) = self.account {
            command.uid(user).gid(group);
        }
    }

    fn cluster(&self) -> PathBuf {
        self.directory.path().join("cluster")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // Not SIGKILL at once, because only the postmaster ends its children.
            server.signal(Signal::QUIT);
            server.wait(STOP_BOUND);
        }
    }
}

impl Account {
    /// `None` unless we are root.
    fn for_server() -> Option<Self> {
        let id = |what| {
            let output = Command::new("id").args([what, "postgres"]).output();
            let output = output.expect("`id` can be run");
            let id = String::from_utf8_lossy(&output.stdout).trim().parse();
            id.expect("root needs an account named postgres to run the server; tests/run installs it")
        };
        geteuid().is_root().then(|| Self { user: id("-u"), group: id("-g") })
    }
}

/// The directory of the server's programs: in the PATH, or else the newest version in Debian's directory.
fn programs() -> PathBuf {
    let is_complete = |directory: &PathBuf| {
        let mut needed = ["initdb", "postgres", "psql"].iter();
        needed.all(|program| directory.join(program).is_file())
    };
    let path = env::var_os("PATH").unwrap_or_default();
    if let Some(directory) = env::split_paths(&path).find(is_complete) {
        return directory;
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let directories = versions.flatten().map(|version| version.path().join("bin"));
    directories
        .filter(is_complete)
        .max_by_key(|directory| version(directory))
        .expect("PostgreSQL's server programs are needed; tests/run installs them")
}

/// 15 of `/usr/lib/postgresql/15/bin`.
fn version(programs: &Path) -> Option<u32> {
    let version = programs.parent().and_then(Path::file_name);
    version.and_then(OsStr::to_str)?.parse().ok()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    address.port()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    use super::*;
    use crate::eventually;

    #[test]
    fn databases_of_a_shared_server_are_apart() {
        let postgres = Postgres::shared();
        let [mine, yours] = [postgres.create_database(), postgres.create_database()];
        postgres.query(&mine, "CREATE TABLE t AS SELECT 1");
        assert_eq!(postgres.query(&mine, "SELECT count(*) FROM t"), "1");
        let theirs = "SELECT count(*) FROM pg_tables WHERE tablename = 't'";
        assert_eq!(postgres.query(&yours, theirs), "0");
    }

    #[test]
    fn what_was_committed_survives_an_immediate_stop() {
        let mut postgres = Postgres::start();
        let url = postgres.create_database();
        postgres.query(&url, "CREATE TABLE t AS SELECT 42 AS n");
        postgres.stop_immediate();
        assert!(!postgres.psql(&url, "SELECT 1").status.success());
        postgres.start_again();
        assert_eq!(postgres.query(&url, "SELECT n FROM t"), "42");

        let directory = postgres.directory.path().to_owned();
        drop(postgres);
        assert!(!directory.exists());
    }

    #[test]
    fn durability_is_on() {
        let postgres = Postgres::shared();
        let url = postgres.url("postgres");
        assert_eq!(postgres.query(&url, "SHOW fsync"), "on");
        assert_eq!(postgres.query(&url, "SHOW synchronous_commit"), "on");
        assert_eq!(postgres.query(&url, "SHOW server_encoding"), "UTF8");
    }

    #[test]
    fn the_server_dies_with_a_killed_test_process() {
        let mut victim = Command::new(env::current_exe().unwrap())
            .args(["--exact", "postgres::tests::victim", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let directory = lines.find_map(|line| Some(PathBuf::from(line.unwrap().strip_prefix("started in ")?))).unwrap();
        let pid = fs::read_to_string(directory.join("cluster/postmaster.pid")).unwrap();
        let process = Path::new("/proc").join(pid.lines().next().unwrap());
        assert!(process.exists());

        victim.kill().unwrap();
        victim.wait().unwrap();
        let command_line = process.join("cmdline");
        // A zombie that is not reaped (in a container without an init process) has an empty command line.
        eventually("the end of the server", Duration::from_secs(60), || {
            fs::read(&command_line).unwrap_or_default().is_empty()
        });
        eventually("the removal of its files", Duration::from_secs(60), || !directory.exists());
    }

    #[test]
    #[ignore = "is started and killed by another test"]
    fn victim() {
        let postgres = Postgres::start();
        println!("started in {}", postgres.directory.path().display());
        sleep(Duration::from_secs(60));
    }
}
