//! A process that never outlives this one, not even when this one is killed with SIGKILL.
//!
//! A killed process can do nothing, so another process must notice its end. The watchdog is a small shell that reads
//! from a pipe whose other end only the test process holds. When the test process ends, the kernel closes the pipe, and
//! the watchdog ends the guarded process. The guarded process waits for a line from the test process before it becomes
//! the program, so it is never without a guard.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Waits for a line, then becomes the program with the same process id and an empty stdin. Without the line it ends.
const GATE: &str = r#"read -r _ && exec "$@" </dev/null"#;

/// A line disarms the watchdog. The end of the pipe triggers it: it sends signal `$1` to process `$2`, then removes
/// directory `$3`.
const WATCHDOG: &str = r#"
read -r _ && exit
kill -s "$1" "$2" 2>/dev/null
[ -n "$3" ] || exit 0
tries=0
while [ $tries -lt 100 ] && kill -0 "$2" 2>/dev/null; do sleep 0.1; tries=$((tries + 1)); done
rm -rf -- "$3"
"#;

const POLL: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    watchdog: Child,
    status: Option<ExitStatus>,
}

/// What the watchdog does when the test process has ended.
pub(crate) struct Orphan<'a> {
    /// As `kill -s` spells it.
    pub(crate) signal: &'a str,
    /// Removed once the process has ended.
    pub(crate) directory: Option<&'a Path>,
}

/// The command for [`Guarded::start`]. The caller can add arguments, environment and output; stdin is used by the
/// guard.
pub(crate) fn guarded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", GATE, "sh"])
        .arg(program)
        .stdin(Stdio::piped())
        // A process group of its own: Ctrl-C reaches only the test, which ends the others.
        .process_group(0);
    command
}

impl Guarded {
    pub(crate) fn start(mut command: Command, orphan: &Orphan<'_>) -> Self {
        let mut child = command.spawn().expect("a process can be started through `sh`");
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "sh", orphan.signal])
            .arg(child.id().to_string())
            .arg(orphan.directory.unwrap_or(Path::new("")))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the watchdog starts");
        let mut gate = child.stdin.take().expect("the gate is piped");
        gate.write_all(b"\n").expect("a guarded process waits for its line");
        Self { child, watchdog, status: None }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Does nothing if the process was already waited for, because its id may belong to another process then.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            kill_process(Pid::from_child(&self.child), signal)
                .expect("a process that was not waited for takes signals");
        }
    }

    /// The exit status, `None` while it runs.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("a child can be waited for");
            if self.status.is_some() {
                self.disarm();
            }
        }
        self.status
    }

    /// The exit status, `None` when it still runs after `bound`.
    pub(crate) fn wait(&mut self, bound: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + bound;
        loop {
            if let Some(status) = self.status() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            sleep(POLL);
        }
    }

    /// SIGKILL; returns when the process is gone.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        self.signal(Signal::KILL);
        let status = self.child.wait().expect("a child can be waited for");
        self.status = Some(status);
        self.disarm();
        status
    }

    fn disarm(&mut self) {
        if let Some(mut pipe) = self.watchdog.stdin.take() {
            // It fails only if the watchdog was killed; then there is nothing to disarm.
            let _ = pipe.write_all(b"\n");
            let _ = self.watchdog.wait();
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}
