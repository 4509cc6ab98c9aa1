//! Runs a program: bounded output, and no process is left behind.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

/// Bytes of the end of each output that are kept.
const OUTPUT_BYTES: usize = 16 << 10;

/// Characters of a line that are passed on.
const LINE_CHARS: usize = 400;

/// How long the output may stay open after the program has ended. Processes that it left in the background may have it.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// Runs a program with this input, and returns the last line of its output. If the future is dropped, the program and
/// all processes of its group are killed.
///
/// # Errors
/// The program cannot be started, or it ended with another exit code than 0: the reason contains the last line of its
/// error output.
pub(super) async fn run(command: &[String], input: &[u8]) -> Result<String, String> {
    let Some((program, arguments)) = command.split_first() else { return Err("there is no program".to_owned()) };
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut group = Group::of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = {
        let mut outputs =
            std::pin::pin!(async { tokio::join!(keep_end(stdout, &mut output), keep_end(stderr, &mut errors)) });
        let ended = async {
            if let Some(mut stdin) = stdin {
                // A program need not read its input.
                let _unread = stdin.write_all(input).await;
            }
            child.wait().await
        };
        let mut ended = std::pin::pin!(ended);
        tokio::select! {
            ended = &mut ended => {
                let _still_open = timeout(OUTPUT_GRACE, outputs).await;
                ended
            }
            _ = &mut outputs => ended.await,
        }
        .map_err(failed)?
    };
    group.0 = None;
    let last = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        line.chars().take(LINE_CHARS).collect::<String>()
    };
    if status.success() { Ok(last(&output)) } else { Err(reason(status, &last(&errors))) }
}

fn reason(status: ExitStatus, line: &str) -> String {
    if line.is_empty() {
        format!("the program failed: {status}")
    } else {
        format!("the program failed: {status}: {line}")
    }
}

/// Reads to the end, and keeps only the end.
async fn keep_end(from: Option<impl AsyncRead + Unpin>, end: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut chunk = [0; 4096];
    // What cannot be read counts as the end: the exit code decides.
    while let Ok(bytes @ 1..) = from.read(&mut chunk).await {
        end.extend_from_slice(&chunk[..bytes]);
        if end.len() > 2 * OUTPUT_BYTES {
            end.drain(..end.len() - OUTPUT_BYTES);
        }
    }
}

/// The process group of a running program. It is killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn the_last_line_of_the_output_is_returned() {
        let printed = run(&shell("read line; echo ignored; echo \"$line\"; echo"), b"42\n").await;
        assert_eq!(printed, Ok("42".to_owned()));
    }

    #[tokio::test]
    async fn a_failure_says_why() {
        let failed = run(&shell("echo one >&2; echo the disk is full >&2; exit 3"), b"").await.unwrap_err();
        assert_eq!(failed, "the program failed: exit status: 3: the disk is full");
        let missing = run(&["/no/such/program".to_owned()], b"").await.unwrap_err();
        assert!(missing.starts_with("/no/such/program: "), "{missing}");
    }

    #[tokio::test]
    async fn a_program_that_prints_without_end_costs_little() {
        let printed = run(&shell("yes | head -c 20000000; echo; echo 7"), b"").await;
        assert_eq!(printed, Ok("7".to_owned()));
    }

    #[tokio::test]
    async fn a_program_that_leaves_another_one_behind_ends_nevertheless() {
        let printed = timeout(Duration::from_secs(20), run(&shell("sleep 60 & echo 7"), b"")).await;
        assert_eq!(printed, Ok(Ok("7".to_owned())));
    }

    #[tokio::test]
    async fn a_program_that_is_given_up_is_killed_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ticks");
        let script = format!("(while true; do echo tick >> {}; sleep 0.02; done) & wait", file.display());
        let ticks = || fs::read(&file).map_or(0, |ticks| ticks.len());
        let command = shell(&script);
        tokio::select! {
            ended = run(&command, b"") => panic!("{ended:?}"),
            () = async { while ticks() < 20 { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
        }
        // A tick may be under way.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let then = ticks();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(ticks(), then);
    }
}
