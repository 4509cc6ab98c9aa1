//! Many clients at once, at little cost: tasks on one thread that write prepared bytes, and read only a little of each
//! answer.
//!
//! Without a rate, each client sends its next request when it has the last answer. With a rate, requests are due at
//! fixed times, and a client that is late catches up. As in HTTP/1.1, a client has at most one request in progress. So
//! if the server cannot keep up with the rate, requests queue at the clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// After this time, the server has lost the request.
const ANSWER_BOUND: Duration = Duration::from_secs(60);

/// With a rate, the first request is due after this time per client: while a server accepts a thousand connections at
/// once, it has no time for requests.
const ARRIVAL: Duration = Duration::from_millis(2);

/// The pause before a client connects again: it must not use the processor time that the server needs.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// The requests, the number of clients, and the rate.
pub struct Load {
    address: SocketAddr,
    clients: usize,
    per_second: Option<f64>,
    request: Arc<dyn Fn(usize, u64) -> Vec<u8> + Send + Sync>,
}

/// A load in progress. It ends when this is dropped.
pub struct Loading {
    enough: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    started: Instant,
    clients: Option<JoinHandle<Vec<Requested>>>,
}

/// The result of a load.
#[derive(Debug, Clone)]
pub struct Report {
    /// All requests, in no particular order.
    pub requests: Vec<Requested>,
    /// The duration of the load.
    pub lasted: Duration,
}

/// One request of a load.
#[derive(Debug, Clone, Copy)]
pub struct Requested {
    /// The number of the client.
    pub client: usize,
    /// Its status; `None` if no complete answer came.
    pub status: Option<u16>,
    /// Whether the answer has a `Retry-After` header.
    pub retry_after: bool,
    /// From sending until the answer was complete or the connection broke.
    pub took: Duration,
    /// From the time when it was due. This is longer if the client had to wait for an earlier answer first. Without a
    /// rate, a request is due when it is sent.
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

    /// Sets the number of requests per second of all clients together.
    #[must_use]
    pub fn per_second(mut self, rate: f64) -> Self {
        self.per_second = Some(rate);
        self
    }

    /// Runs for `time`, and returns the result.
    #[must_use]
    pub fn run(self, time: Duration) -> Report {
        let loading = self.start();
        std::thread::sleep(loading.started.saturating_duration_since(Instant::now()) + time);
        loading.stop()
    }

    /// Starts, and returns at once.
    ///
    /// # Panics
    /// When the machine cannot start a thread.
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

    /// The time between two requests of one client.
    fn interval(&self) -> Option<Duration> {
        self.per_second.map(|rate| Duration::from_secs_f64(self.clients as f64 / rate))
    }
}

impl Loading {
    /// The number of requests that are answered or have failed.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }

    /// Lets each client receive its last answer, and returns the result.
    ///
    /// # Panics
    /// When a client panicked.
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

    /// The number of requests per second with this status. Answers after the end count too: their requests were in
    /// progress.
    #[must_use]
    pub fn per_second(&self, status: u16) -> f64 {
        self.count(status) as f64 / self.lasted.as_secs_f64()
    }

    /// The number of requests for each status, for messages.
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

/// The quantile `part` (0 to 1) of these times; zero if there are none.
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
        // Spreads the clients over the interval, so that they do not send at the same moment.
        let offset = interval.map(|interval| interval.mul_f64(golden_part(self.number)));
        while !self.is_enough() {
            let Ok(mut connection) = TcpStream::connect(address).await else {
                tokio::time::sleep(RECONNECT_PAUSE).await;
                continue;
            };
            // A connection that is refused fails below, like a broken one.
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

/// A sequence of numbers between 0 and 1 that is evenly spread at any length.
fn golden_part(number: usize) -> f64 {
    (number as f64 * 0.618_033_988_749).fract()
}

/// The status of the answer, and whether it has a `Retry-After` header.
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
        // Each client uses at least three connections, with seven requests each; the last request gets no answer.
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
        const CLIENTS: usize = 4;
        const RATE: f64 = 100.0;
        let load = Load::new(moody_server(), CLIENTS, |_, _| post_bytes("/", "{}")).per_second(RATE).start();
        eventually("there are fifty requests", Duration::from_secs(30), || load.ended() >= 50);
        let report = load.stop();
        // A client begins with a request, so each may be one ahead of its part of the rate.
        let most = report.lasted.as_secs_f64() * RATE + CLIENTS as f64;
        assert!(report.requests.len() as f64 <= most, "{} in {:?}", report.statuses(), report.lasted);
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
