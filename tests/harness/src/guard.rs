//! A process that never outlives this one, not even when this one is killed with SIGKILL.
//!
//! Nothing runs in a killed process, so somebody else must notice: a small shell, the watchdog, reads from a pipe whose
//! other end only we hold. When we end, the kernel closes it, and the watchdog ends the guarded process. The guarded
//! process itself waits for a line from us before it becomes what it shall be, so there is no moment without a guard.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Waits for a line, then becomes the program: same process id, nothing on stdin. Without the line it ends.
const GATE: &str = r#"read -r _ && exec "$@" </dev/null"#;

/// A line disarms it, the end of the pipe sets it off: signal `$1` to process `$2`, then directory `$3` is removed.
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

/// What the watchdog does when this process is gone.
pub(crate) struct Orphan<'a> {
    /// As `kill -s` spells it.
    pub(crate) signal: &'a str,
    /// Removed once the process has ended.
    pub(crate) directory: Option<&'a Path>,
}

/// The command for [`Guarded::start`]: `program`, to which arguments, environment and output can be added; stdin is taken.
pub(crate) fn guarded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", GATE, "sh"])
        .arg(program)
        .stdin(Stdio::piped())
        // A group of its own: Ctrl-C reaches the test, and the test decides about the rest.
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

    /// Does nothing once the process has been waited for: its id may belong to another by then.
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
            // Fails only when somebody killed the watchdog; then there is nothing to disarm.
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
