//! A connection on which a test sends any bytes at any time.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// If the server does not accept a write within this time, the write fails instead of blocking the test.
const WRITE_BOUND: Duration = Duration::from_secs(10);

/// A plain TCP connection. It closes when it is dropped.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    opened: Instant,
}

/// The bytes that a [`Wire`] received until it was closed.
#[derive(Debug)]
pub struct Heard {
    /// All bytes as text; invalid UTF-8 is replaced.
    pub text: String,
    /// The time from just before the connection was opened until the server closed it; `None` if it is still open.
    pub closed_after: Option<Duration>,
}

impl Wire {
    /// Connects.
    ///
    /// # Panics
    /// When no server listens at the address.
    #[must_use]
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let opened = Instant::now();
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_nodelay(true).expect("a connected socket takes options");
        stream.set_write_timeout(Some(WRITE_BOUND)).expect("a connected socket takes options");
        Self { stream, opened }
    }

    /// Sends all bytes. Returns whether the server accepted them: it may have closed the connection.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends one byte after each pause, until the server has closed the connection, everything is sent, or `bound` is
    /// over. Then reads for the rest of `bound`.
    #[must_use]
    pub fn trickle(mut self, bytes: impl AsRef<[u8]>, pause: Duration, bound: Duration) -> Heard {
        let started = Instant::now();
        let mut text = Vec::new();
        for byte in bytes.as_ref() {
            if started.elapsed() >= bound || !self.send([*byte]) || self.listen(&mut text, pause) {
                break;
            }
        }
        let mut heard = self.heard(bound.saturating_sub(started.elapsed()));
        heard.text.insert_str(0, &String::from_utf8_lossy(&text));
        heard
    }

    /// Reads until the server closes the connection, or `bound` is over.
    #[must_use]
    pub fn heard(mut self, bound: Duration) -> Heard {
        let mut text = Vec::new();
        let closed = self.listen(&mut text, bound);
        let closed_after = closed.then(|| self.opened.elapsed());
        Heard { text: String::from_utf8_lossy(&text).into_owned(), closed_after }
    }

    /// Reads until the server has sent `end`.
    ///
    /// # Panics
    /// When it does not within `bound`.
    #[track_caller]
    pub fn heard_until(&mut self, end: &str, bound: Duration) -> String {
        let started = Instant::now();
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains(end) {
            let closed = self.listen_once(&mut text, bound.saturating_sub(started.elapsed()));
            let heard = String::from_utf8_lossy(&text);
            assert!(!closed && started.elapsed() < bound, "{end:?} was not said, but {heard:?}");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Reads for this time or until the server closes the connection, and drops the bytes.
    pub fn listen_for(&mut self, time: Duration) {
        self.listen(&mut Vec::new(), time);
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        self.listen_once(&mut Vec::new(), Duration::ZERO)
    }

    /// Reads for this time. Returns whether the connection was closed.
    fn listen(&mut self, text: &mut Vec<u8>, bound: Duration) -> bool {
        let started = Instant::now();
        loop {
            let rest = bound.saturating_sub(started.elapsed());
            if rest.is_zero() {
                return false;
            }
            if self.listen_once(text, rest) {
                return true;
            }
        }
    }

    fn listen_once(&mut self, text: &mut Vec<u8>, bound: Duration) -> bool {
        let now = bound.is_zero();
        self.stream.set_nonblocking(now).expect("a connected socket takes options");
        if !now {
            self.stream.set_read_timeout(Some(bound)).expect("a connected socket takes options");
        }
        let mut buffer = [0; 16 << 10];
        let read = self.stream.read(&mut buffer);
        self.stream.set_nonblocking(false).expect("a connected socket takes options");
        match read {
            Ok(0) => true,
            Ok(count) => {
                text.extend_from_slice(&buffer[..count]);
                false
            }
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted),
        }
    }
}

impl Heard {
    /// The status of the first answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }
}

/// Raises this process's limit of open files to the system's maximum; shells often set it to about a thousand. Returns
/// the limit that applies then.
pub fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // If this fails, opening too many connections fails later.
    let _as_it_is = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}
