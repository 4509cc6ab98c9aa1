//! A shell script plays the server.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::thread::{self, sleep};

use tempfile::TempDir;

use super::*;

/// A thread of this test listens and answers every request with 200. A script claims to be the server at that address.
struct Stage {
    directory: TempDir,
    address: SocketAddr,
}

impl Stage {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let _ = connection.read(&mut [0; 1024]);
                let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            }
        });
        let directory = tempfile::tempdir().unwrap();
        Self { directory, address }
    }

    /// `sh serve …` runs the script of that name. A new file that is only read cannot be "busy"; one that is executed
    /// can be, while another thread of this process forks.
    fn playing(&self, script: &str) -> ServerBuilder {
        fs::write(self.directory.path().join("serve"), script).unwrap();
        Server::builder()
            .program("sh")
            .working_directory(self.directory.path())
            .environment("ADDRESS", self.address.to_string())
    }
}

#[test]
fn a_server_is_found_where_it_says() {
    let stage = Stage::new();
    let server = stage
        .playing(r#"echo "$0 $@" >&2; echo "listening on http://$ADDRESS"; exec sleep 60"#)
        .journal("memory:")
        .set("runtime.shards=8")
        .arguments(["--profile", "test"])
        .start();
    assert_eq!(server.address(), stage.address);
    eventually("its log", Duration::from_secs(5), || {
        server.logs().contains(
            "serve --set gateway.listen=127.0.0.1:0 --set journal.url=memory: --set runtime.shards=8 --profile test",
        )
    });
}

#[test]
fn a_server_that_ends_at_once_says_why() {
    let error = Stage::new().playing("echo 'no such profile' >&2; exit 3").try_start().unwrap_err();
    assert_eq!(error.status().unwrap().code(), Some(3));
    assert!(error.to_string().contains("it ended with exit status: 3"), "{error}");
    assert!(error.logs().contains("no such profile"), "{error}");
}

#[test]
fn a_server_takes_signals_and_starts_again_where_it_was() {
    let stage = Stage::new();
    let mut server = stage
        .playing(
            r#"echo run >>runs; trap 'exit 7' TERM; echo "listening on http://$ADDRESS"; while :; do sleep 0.01; done"#,
        )
        .start();

    server.suspend();
    server.terminate();
    sleep(Duration::from_millis(100));
    assert!(server.is_running());
    server.resume();
    assert_eq!(server.wait(Duration::from_secs(5)).code(), Some(7));

    server.restart();
    let runs = fs::read_to_string(server.working_directory().join("runs"));
    assert_eq!(runs.unwrap(), "run\nrun\n");
    server.kill();
    assert_eq!(server.wait(Duration::ZERO).signal(), Some(9));
}
