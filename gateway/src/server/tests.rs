//! The server's limits and its shutdown, as a client sees them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

use super::{EndlessBody, Options, Tls, serve};

pub(super) const SOON: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_millis(300);

/// Longer than any test runs: what ends before this did not wait for it.
pub(super) const FOREVER: Duration = Duration::from_secs(3600);

pub(super) struct Serving {
    pub(super) address: SocketAddr,
    shutdown: oneshot::Sender<Instant>,
    /// Notified when a request has arrived.
    arrived: Arc<Notify>,
    pub(super) task: JoinHandle<()>,
}

impl Serving {
    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::encrypted(None, change).await
    }

    /// `/` answers at once, `/slow` after a while, `/large` and `/stream` with a large body, `/never` never. `/panic`
    /// panics.
    pub(super) async fn encrypted(tls: Option<Arc<Tls>>, change: impl FnOnce(&mut Options)) -> Self {
        let router = Router::new()
            .route("/", get(async || "here"))
            .route(
                "/slow",
                get(async || {
                    sleep(A_WHILE).await;
                    "at last"
                }),
            )
            .route("/large", get(async || " ".repeat(32 << 20)))
            .route("/stream", get(async || (Extension(EndlessBody), " ".repeat(32 << 20))))
            .route("/panic", get(async || -> &'static str { panic!("as planned") }))
            .route("/never", get(async || std::future::pending::<()>().await));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut options = Options { max_connections: 100, header_timeout: SOON * 2, write_timeout: SOON * 2 };
        change(&mut options);
        let (shutdown, deadline) = oneshot::channel();
        let arrived = Arc::new(Notify::new());
        let announced = Arc::clone(&arrived);
        let answer = move |request, _| {
            announced.notify_one();
            let routed = router.clone().oneshot(request);
            async { routed.await.unwrap() }
        };
        let task = tokio::spawn(serve(listener, tls, answer, options, deadline));
        Self { address, shutdown, arrived, task }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// A client that has sent its request before the server accepts the connection: nothing else runs on this thread
    /// meanwhile.
    fn ask_at_once(&self, path: &str) -> Client {
        let mut stream = std::net::TcpStream::connect(self.address).unwrap();
        stream.write_all(Client::head(path).as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Client(TcpStream::from_std(stream).unwrap())
    }

    pub(super) async fn shut_down_within(self, time: Duration) {
        self.shutdown.send(Instant::now() + time).unwrap();
        timeout(SOON, self.task).await.unwrap().unwrap();
    }
}

struct Client(TcpStream);

impl Client {
    fn head(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
    }

    async fn ask(&mut self, path: &str) {
        self.0.write_all(Self::head(path).as_bytes()).await.unwrap();
    }

    /// Receives until the bytes contain `end`, and returns them. Panics if the connection is closed before.
    async fn receive(&mut self, end: &str) -> String {
        let mut received = Vec::new();
        while !String::from_utf8_lossy(&received).contains(end) {
            let mut buffer = [0; 1024];
            let count = timeout(SOON, self.0.read(&mut buffer)).await.unwrap().unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&received));
            received.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(received).unwrap()
    }

    /// Receives this many bytes, and returns the count.
    async fn take(&mut self, count: usize) -> usize {
        let mut taken = vec![0; count];
        timeout(SOON, self.0.read_exact(&mut taken)).await.unwrap().unwrap()
    }

    /// Receives until the connection is closed or reset, and returns everything.
    async fn rest(mut self) -> String {
        let mut received = Vec::new();
        let _reset = timeout(SOON, self.0.read_to_end(&mut received)).await.expect("the connection is closed");
        String::from_utf8(received).unwrap()
    }
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order_also_when_sent_together() {
    let serving = Serving::with(|_| {}).await;
    let mut client = serving.connect().await;
    client.ask("/slow").await;
    client.ask("/").await;
    let both = client.receive("here").await;
    assert!(both.find("at last") < both.find("here"), "{both}");
    client.ask("/").await;
    client.receive("here").await;
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_headers_is_closed() {
    let serving = Serving::with(|options| options.header_timeout = Duration::from_millis(100)).await;
    let mut client = serving.connect().await;
    client.0.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    assert!(!client.rest().await.contains("200"));
}

#[tokio::test]
async fn a_slow_answer_is_no_slow_header() {
    let serving = Serving::with(|options| options.header_timeout = Duration::from_millis(100)).await;
    let mut client = serving.ask_at_once("/slow");
    client.receive("at last").await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
    let serving = Serving::with(|options| (options.write_timeout, options.max_connections) = (A_WHILE, 1)).await;
    let mut client = serving.connect().await;
    client.ask("/large").await;
    // This one is served once the first has been given up.
    let mut second = serving.connect().await;
    second.ask("/").await;
    second.receive("here").await;
    assert!(client.rest().await.len() < 32 << 20, "the client received all of it");
}

#[tokio::test]
async fn a_client_that_takes_its_answer_slowly_gets_all_of_it() {
    const PAUSE: Duration = Duration::from_millis(500);

    // The eight pauses are twice as long as the timeout, and each of them is far shorter.
    let serving = Serving::with(|options| options.write_timeout = PAUSE * 4).await;
    let mut client = serving.connect().await;
    client.ask("/large").await;
    for _ in 0..8 {
        sleep(PAUSE).await;
        client.take(4 << 20).await;
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_problem_document() {
    let serving = Serving::with(|_| {}).await;
    let too_many: String = (0..=super::limits::HEADERS).map(|number| format!("h{number}: 1\r\n")).collect();
    let too_large = format!("h: {}\r\n", "x".repeat(4 * super::limits::HEAD_BYTES));
    for (head, status, slug) in [
        ("nonsense\r\n\r\n", 400, "malformed-request"),
        (&format!("GET / HTTP/1.1\r\n{too_many}\r\n"), 431, "head-too-large"),
        (&format!("GET / HTTP/1.1\r\n{too_large}\r\n"), 431, "head-too-large"),
    ] {
        let mut client = serving.connect().await;
        client.0.write_all(head.as_bytes()).await.unwrap();
        let refusal = client.rest().await;
        assert!(refusal.starts_with(&format!("HTTP/1.1 {status} ")), "{refusal}");
        assert!(refusal.contains("application/problem+json") && refusal.contains(slug), "{refusal}");
    }
}

#[tokio::test]
async fn a_connection_over_the_limit_waits_for_one_to_end() {
    let serving = Serving::with(|options| options.max_connections = 1).await;
    let mut first = serving.connect().await;
    first.ask("/").await;
    first.receive("here").await;

    let mut second = serving.connect().await;
    second.ask("/").await;
    let early = timeout(A_WHILE, second.receive("here")).await;
    assert!(early.is_err(), "it was served together with the first");
    drop(first);
    second.receive("here").await;
}

#[tokio::test]
async fn shutting_down_finishes_the_request_under_way_and_accepts_no_more() {
    let serving = Serving::with(|_| {}).await;
    let address = serving.address;
    let mut client = serving.connect().await;
    client.ask("/slow").await;
    serving.arrived.notified().await;
    serving.shut_down_within(SOON).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("at last"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn shutting_down_closes_idle_connections_at_once() {
    let serving = Serving::with(|_| {}).await;
    let mut used = serving.connect().await;
    used.ask("/").await;
    used.receive("here").await;
    let fresh = serving.connect().await;
    sleep(A_WHILE / 3).await;
    serving.shut_down_within(FOREVER).await;
    assert_eq!((used.rest().await, fresh.rest().await), (String::new(), String::new()));
}

#[tokio::test]
async fn a_request_that_does_not_finish_in_time_is_cut_off() {
    let serving = Serving::with(|_| {}).await;
    let mut client = serving.connect().await;
    client.ask("/never").await;
    serving.arrived.notified().await;
    serving.shut_down_within(A_WHILE).await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_stream_that_its_client_does_not_take_does_not_delay_the_shutdown() {
    let serving = Serving::with(|_| {}).await;
    let mut client = serving.connect().await;
    client.ask("/stream").await;
    client.receive("200").await;
    serving.shut_down_within(FOREVER).await;
    assert!(client.rest().await.len() < 32 << 20, "the client received all of it");
}

#[tokio::test]
async fn a_server_that_is_dropped_cuts_off_everything() {
    let serving = Serving::with(|_| {}).await;
    let mut client = serving.connect().await;
    client.ask("/never").await;
    serving.arrived.notified().await;
    serving.task.abort();
    assert_eq!(client.rest().await, "");
}
