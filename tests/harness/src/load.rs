//! Many clients at once, as cheap as they can be: tasks on one thread that write prepared bytes and look for little in
//! what comes back.
//!
//! A [`Load`] is closed (each client sends its next request when it has the last answer) unless it is given a rate:
//! then requests are due at fixed times, whatever became of the ones before, and a client that is late catches up. No
//! client has more than one request under way, as HTTP/1.1 has it, so a rate that the server does not keep up with
//! piles up with the clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A server that does not answer a request for so long has lost it.
const ANSWER_BOUND: Duration = Duration::from_secs(60);

/// With a rate, the first request is due when all clients have had so long to connect: a server that accepts a thousand
/// connections at once has no time for requests.
const ARRIVAL: Duration = Duration::from_millis(2);

/// Between attempts of a client whose connection broke: it shall not burn the processor its server needs.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// What to send, how many at a time, how fast.
pub struct Load {
    address: SocketAddr,
    clients: usize,
    per_second: Option<f64>,
    request: Arc<dyn Fn(usize, u64) -> Vec<u8> + Send + Sync>,
}

/// A load under way. Dropping it ends it.
pub struct Loading {
    enough: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    started: Instant,
    clients: Option<JoinHandle<Vec<Requested>>>,
}

/// What came of a load.
#[derive(Debug, Clone)]
pub struct Report {
    /// Every request, in no particular order.
    pub requests: Vec<Requested>,
    /// How long it went on.
    pub lasted: Duration,
}

/// One request of a load.
#[derive(Debug, Clone, Copy)]
pub struct Requested {
    /// Which client sent it.
    pub client: usize,
    /// Its status; `None` if no complete answer came.
    pub status: Option<u16>,
    /// Whether it says when to come again.
    pub retry_after: bool,
    /// From when it was sent until the answer was complete, or the connection broke.
    pub took: Duration,
    /// The same from when it was due: who had to wait for an earlier answer first has waited longer. Without a rate, a
    /// request is due when it is sent.
    pub waited: Duration,
}

impl Load {
    /// `clients` connections to `address`. `request` makes the bytes of a client's n-th request; see [`post_bytes`].
    #[must_use]
    pub fn new(
        address: SocketAddr,
        clients: usize,
        request: impl Fn(usize, u64) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self { address, clients, per_second: None, request: Arc::new(request) }
    }

    /// So many requests a second of all clients together, instead of as many as are answered.
    #[must_use]
    pub fn per_second(mut self, rate: f64) -> Self {
        self.per_second = Some(rate);
        self
    }

    /// Goes on for `time`, and reports.
    #[must_use]
    pub fn run(self, time: Duration) -> Report {
        let loading = self.start();
        std::thread::sleep(loading.started.saturating_duration_since(Instant::now()) + time);
        loading.stop()
    }

    /// Begins, and returns at once.
    ///
    /// # Panics
    /// When the machine has no thread for it.
    #[must_use]
    pub fn start(self) -> Loading {
        let enough = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let arrival = if self.per_second.is_some() {
            ARRIVAL * u32::try_from(self.clients).unwrap_or(u32::MAX)
        } else {
            Duration::ZERO
        };
        let ended = Arc::new(AtomicUsize::new(0));
        let (seen, counter, started) = (Arc::clone(&enough), Arc::clone(&ended), Instant::now() + arrival);
        let clients = std::thread::spawn(move || {
            runtime.block_on(async {
                let mut clients = JoinSet::new();
                for number in 0..self.clients {
                    let (enough, ended) = (Arc::clone(&seen), Arc::clone(&counter));
                    let client = Client { number, sent: 0, enough, ended, requests: Vec::new() };
                    clients.spawn(client.work(self.address, self.interval(), started, Arc::clone(&self.request)));
                }
                clients.join_all().await.into_iter().flatten().collect()
            })
        });
        Loading { enough, ended, started, clients: Some(clients) }
    }

    /// Between two requests of one client.
    fn interval(&self) -> Option<Duration> {
        self.per_second.map(|rate| Duration::from_secs_f64(self.clients as f64 / rate))
    }
}

impl Loading {
    /// Requests that have an answer by now, or will have none.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }

    /// Lets every client have its last answer, and reports.
    ///
    /// # Panics
    /// When a client did.
    #[must_use]
    pub fn stop(mut self) -> Report {
        self.enough.store(true, Ordering::Relaxed);
        let lasted = self.started.elapsed();
        let clients = self.clients.take().expect("it is stopped once");
        let requests = clients.join().expect("no client panics");
        Report { requests, lasted }
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

impl Report {
    /// The requests with this status.
    pub fn with_status(&self, status: u16) -> impl Iterator<Item = &Requested> {
        self.requests.iter().filter(move |request| request.status == Some(status))
    }

    /// How many have this status.
    #[must_use]
    pub fn count(&self, status: u16) -> usize {
        self.with_status(status).count()
    }

    /// How many a second had this status. What came after the end was asked for counts as well: it is what was under way.
    #[must_use]
    pub fn per_second(&self, status: u16) -> f64 {
        self.count(status) as f64 / self.lasted.as_secs_f64()
    }

    /// The statuses and how often each came, for messages.
    #[must_use]
    pub fn statuses(&self) -> String {
        let mut counts = std::collections::BTreeMap::new();
        self.requests.iter().for_each(|request| *counts.entry(request.status).or_insert(0_usize) += 1);
        let named = |(status, count): (&Option<u16>, &usize)| match status {
            Some(status) => format!("{count} × {status}"),
            None => format!("{count} × no answer"),
        };
        counts.iter().map(named).collect::<Vec<_>>().join(", ")
    }
}

/// The time that `part` (0 to 1) of them are not above; zero if there are none.
#[must_use]
pub fn quantile(part: f64, times: impl IntoIterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.into_iter().collect();
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * part).ceil() as usize).copied().unwrap_or_default()
}

/// The bytes of a POST with a JSON body.
#[must_use]
pub fn post_bytes(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

struct Client {
    number: usize,
    sent: u64,
    enough: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    requests: Vec<Requested>,
}

impl Client {
    async fn work(
        mut self,
        address: SocketAddr,
        interval: Option<Duration>,
        started: Instant,
        request: Arc<dyn Fn(usize, u64) -> Vec<u8> + Send + Sync>,
    ) -> Vec<Requested> {
        let mut buffer = vec![0; 4 << 10];
        // Clients with the same pace do not march in step.
        let offset = interval.map(|interval| interval.mul_f64(golden_part(self.number)));
        while !self.is_enough() {
            let Ok(mut connection) = TcpStream::connect(address).await else {
                tokio::time::sleep(RECONNECT_PAUSE).await;
                continue;
            };
            // One that refuses is as good as broken, and says so below.
            let _broken = connection.set_nodelay(true);
            while !self.is_enough() {
                let mut due = None;
                if let (Some(interval), Some(offset)) = (interval, offset) {
                    let at = started + offset + interval.mul_f64(self.sent as f64);
                    due = Some(at);
                    tokio::time::sleep_until(at.into()).await;
                    if self.is_enough() {
                        break;
                    }
                }
                let bytes = request(self.number, self.sent);
                self.sent += 1;
                let sent = Instant::now();
                let answer = tokio::time::timeout(ANSWER_BOUND, ask(&mut connection, &bytes, &mut buffer)).await;
                let answer = answer.unwrap_or_else(|late| Err(late.into()));
                let (took, waited) = (sent.elapsed(), due.unwrap_or(sent).elapsed());
                let (status, retry_after) = answer.as_ref().map_or((None, false), |answer| (Some(answer.0), answer.1));
                self.requests.push(Requested { client: self.number, status, retry_after, took, waited });
                self.ended.fetch_add(1, Ordering::Relaxed);
                if answer.is_err() {
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                    break;
                }
            }
        }
        self.requests
    }

    fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }
}

/// Numbers between 0 and 1 that spread evenly, however many are taken.
fn golden_part(number: usize) -> f64 {
    (number as f64 * 0.618_033_988_749).fract()
}

/// The status of the answer, and whether it says when to come again.
async fn ask(connection: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> io::Result<(u16, bool)> {
    connection.write_all(request).await?;
    let mut filled = 0;
    let head = loop {
        let more = connection.read(&mut buffer[filled..]).await?;
        if more == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += more;
        if let Some(end) = find(&buffer[..filled], b"\r\n\r\n") {
            break end + 4;
        }
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
    };
    let odd = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let lines = std::str::from_utf8(&buffer[..head]).map_err(|_| odd("a head that is no text"))?;
    let status = lines.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| odd("no status"))?;
    let length = header(lines, "content-length").and_then(|length| length.parse::<usize>().ok());
    let retry_after = header(lines, "retry-after").is_some();
    let end = head + length.ok_or_else(|| odd("a body of unknown length"))?;
    if buffer.len() < end {
        buffer.resize(end, 0);
    }
    if filled < end {
        connection.read_exact(&mut buffer[filled..end]).await?;
    }
    Ok((status, retry_after))
}

fn header<'h>(lines: &'h str, name: &str) -> Option<&'h str> {
    lines.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::eventually;

    /// Answers every second request with 503, and hangs up after six.
    fn moody_server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                std::thread::spawn(move || {
                    for number in 0..6 {
                        let mut request = [0; 1024];
                        if connection.read(&mut request).unwrap_or(0) == 0 {
                            return;
                        }
                        let answer = match number % 2 {
                            0 => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
                            _ => "HTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
                        };
                        let _gone = connection.write_all(answer.as_bytes());
                    }
                });
            }
        });
        address
    }

    #[test]
    fn every_answer_is_counted_and_a_broken_connection_is_none() {
        let load = Load::new(moody_server(), 3, |_, _| post_bytes("/", "{}")).start();
        // Each client goes through three connections at least: seven requests each, the last without an answer.
        eventually("there are enough requests", Duration::from_secs(30), || load.ended() >= 63);
        let report = load.stop();
        let (good, refused) = (report.count(200), report.count(503));
        let broken = report.requests.iter().filter(|request| request.status.is_none()).count();
        assert!(good >= 9 && good.abs_diff(refused) <= 3, "{}", report.statuses());
        assert!(broken >= 3 && broken <= good / 3 + 3, "{}", report.statuses());
        assert!(report.with_status(503).all(|request| request.retry_after));
        assert!(report.with_status(200).all(|request| !request.retry_after));
    }

    #[test]
    fn a_rate_is_kept() {
        let report = Load::new(moody_server(), 4, |_, _| post_bytes("/", "{}"))
            .per_second(100.0)
            .run(Duration::from_millis(500));
        assert!((20..=51).contains(&report.requests.len()), "{}", report.statuses());
    }

    #[test]
    fn a_quantile_is_the_time_most_took_at_most() {
        let times: Vec<Duration> = (1..=101).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(0.5, times.clone()), Duration::from_millis(51));
        assert_eq!(quantile(0.99, times.clone()), Duration::from_millis(100));
        assert_eq!(quantile(1.0, times.clone()), Duration::from_millis(101));
        assert_eq!(quantile(0.99, []), Duration::ZERO);
    }
}
