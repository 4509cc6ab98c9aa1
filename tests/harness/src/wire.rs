//! A connection on which a test writes whatever bytes it likes, whenever it likes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A write that a server does not take for so long fails instead of hanging the test.
const WRITE_BOUND: Duration = Duration::from_secs(10);

/// A bare TCP connection; dropping it hangs up.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
}

/// What came on a [`Wire`] until it was closed.
#[derive(Debug)]
pub struct Heard {
    /// All bytes, as text; what is no UTF-8 is replaced.
    pub text: String,
    /// How long it took until the connection was closed. `None`: it was open still.
    pub closed_after: Option<Duration>,
}

impl Wire {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens there.
    #[must_use]
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_nodelay(true).expect("a connected socket takes options");
        stream.set_write_timeout(Some(WRITE_BOUND)).expect("a connected socket takes options");
        Self { stream }
    }

    /// Sends all of it. Says whether the server still took it: it may have closed the connection.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends one byte after each pause, until the server has closed the connection, all is sent, or `bound` is over;
    /// then hears what it says within the rest of `bound`.
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
        heard.closed_after = heard.closed_after.map(|_| started.elapsed());
        heard
    }

    /// What the server says until it closes the connection, or `bound` is over.
    #[must_use]
    pub fn heard(mut self, bound: Duration) -> Heard {
        let started = Instant::now();
        let mut text = Vec::new();
        let closed = self.listen(&mut text, bound);
        Heard { text: String::from_utf8_lossy(&text).into_owned(), closed_after: closed.then(|| started.elapsed()) }
    }

    /// What the server says until it has said `end`.
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

    /// Listens for so long, to nothing in particular, or until the server closes the connection.
    pub fn listen_for(&mut self, time: Duration) {
        self.listen(&mut Vec::new(), time);
    }

    /// Whether the server has closed the connection by now.
    pub fn is_closed(&mut self) -> bool {
        self.listen_once(&mut Vec::new(), Duration::ZERO)
    }

    /// Listens for so long; says whether the connection was closed.
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

/// Lets this process have as many connections as the system allows: shells start processes with a thousand.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // One that cannot be raised shows in the first connection too many.
    let _as_it_is = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
