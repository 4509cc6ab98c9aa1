//! HTTP/2 connections as a client sees them.

use axum::body::{Body, Bytes};
use futures_util::poll;
use http_body_util::BodyExt;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::{self, JoinHandle};
use tokio::time::advance;

use super::*;
use crate::server::stream::HTTP2;
use crate::server::tests::{FOREVER, SOON};
use crate::server::tls::tests::Site;

/// The body of `/large` and `/stream`.
const LARGE: usize = 32 << 20;

/// A timeout that a test waits for. A busy machine does what comes before it in less.
const IN_A_MOMENT: Duration = Duration::from_secs(2);

struct Client {
    requests: SendRequest<Body>,
    /// Ends with the connection.
    connection: JoinHandle<hyper::Result<()>>,
}

impl Client {
    async fn of(site: &Site) -> Self {
        Self::with(site, |_| {}).await
    }

    async fn with(site: &Site, change: impl FnOnce(&mut Builder<TokioExecutor>)) -> Self {
        let mut tls = site.client();
        tls.alpn_protocols = vec![HTTP2.to_vec()];
        let stream = TokioIo::new(site.connect(tls).await.unwrap());
        let mut builder = Builder::new(TokioExecutor::new());
        change(&mut builder);
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    fn ask(&self, path: &str) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let request = Request::get(format!("https://localhost{path}")).body(Body::empty()).unwrap();
        self.requests.clone().send_request(request)
    }

    /// Waits until the server has closed the connection.
    async fn closed(self) {
        let _reset = timeout(SOON, self.connection).await.expect("the connection is closed").unwrap();
    }
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn site(options: impl FnOnce(&mut Options)) -> Site {
    Site::with_options(|_, _| {}, options).await
}

#[tokio::test]
async fn requests_on_one_connection_do_not_wait_for_each_other() {
    let site = site(|_| {}).await;
    let client = Client::of(&site).await;
    let never = tokio::spawn(client.ask("/never"));
    assert_eq!(text(client.ask("/slow").await.unwrap()).await, "at last");
    assert_eq!(text(client.ask("/").await.unwrap()).await, "here");
    assert!(!never.is_finished());
}

#[tokio::test]
async fn a_large_response_arrives_whole() {
    let site = site(|_| {}).await;
    let response = Client::of(&site).await.ask("/large").await.unwrap();
    assert_eq!(response.headers()["content-length"], LARGE.to_string().as_str());
    assert_eq!(text(response).await.len(), LARGE);
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let site = site(|options| options.header_timeout = IN_A_MOMENT).await;
    let silent = Client::of(&site).await;
    let used = Client::of(&site).await;
    used.ask("/").await.unwrap();
    silent.closed().await;
    used.closed().await;
}

#[tokio::test]
async fn a_client_that_does_not_begin_is_disconnected() {
    let site = site(|options| options.header_timeout = IN_A_MOMENT).await;
    let mut tls = site.client();
    tls.alpn_protocols = vec![HTTP2.to_vec()];
    let mut stream = site.connect(tls).await.unwrap();
    let mut received = Vec::new();
    let _reset = timeout(SOON, stream.read_to_end(&mut received)).await.expect("the connection is closed");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
    let site = site(|options| options.write_timeout = IN_A_MOMENT).await;
    let client = Client::of(&site).await;
    let _untaken = client.ask("/large").await.unwrap();
    client.closed().await;
}

#[tokio::test]
async fn a_client_without_room_for_the_end_of_its_answer_is_given_up() {
    let site = site(|options| options.header_timeout = IN_A_MOMENT).await;
    let client = Client::with(&site, |builder| _ = builder.initial_stream_window_size(1)).await;
    let _untaken = client.ask("/").await.unwrap();
    client.closed().await;
}

/// A body of pieces that come through the channel.
fn body() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (pieces, mut coming) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |context| {
        coming.poll_recv(context).map(|piece| piece.map(Ok::<_, Infallible>))
    });
    (pieces, Body::from_stream(stream))
}

#[tokio::test(start_paused = true)]
async fn a_response_waits_for_its_client_only_while_the_client_has_bytes_to_take() {
    let limit = Limits { idle: FOREVER, stalled: SOON, stalled_endless: SOON / 2 };
    let responses = Responses::default();
    let is_stalled = async |after: Duration| {
        advance(after).await;
        responses.is_any_stalled(Instant::now(), &limit)
    };
    let (pieces, body) = body();
    let mut paced = responses.pace(body, Returned::default(), false, None);
    assert!(!is_stalled(SOON / 2).await && is_stalled(SOON).await, "nothing was taken");
    assert!(poll!(paced.frame()).is_pending());
    assert!(!is_stalled(SOON * 2).await, "the server has nothing to give");
    pieces.send(vec![b' '; limits::FRAME_BYTES + 1].into()).unwrap();
    for length in [limits::FRAME_BYTES, 1] {
        assert_eq!(paced.frame().await.unwrap().unwrap().into_data().unwrap().len(), length);
        assert!(!is_stalled(SOON / 2).await);
    }
    assert!(is_stalled(SOON).await, "the client takes no more");
    drop(paced);
    assert!(!is_stalled(SOON).await, "there is no response");
    let _endless = responses.pace(Body::empty(), Returned::default(), true, None);
    assert!(is_stalled(SOON / 2).await, "an endless one has its own limit");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_while_it_has_no_request() {
    let (tasks, mut idle) = (Tasks::default(), Idle::since(Instant::now()));
    let mut after = async |time: Duration| {
        advance(time).await;
        idle.lasts(Instant::now(), &tasks)
    };
    assert_eq!(after(SOON).await, SOON);
    tasks.execute(async {});
    assert_eq!(after(SOON).await, Duration::ZERO, "there was one between two checks");
    let (answer, answered) = oneshot::channel::<()>();
    tasks.execute(async { _ = answered.await });
    assert_eq!((after(SOON).await, after(SOON).await), (Duration::ZERO, Duration::ZERO));
    drop(answer);
    task::yield_now().await;
    assert_eq!(after(SOON).await, SOON);
}

#[tokio::test]
async fn requests_beyond_the_limit_of_the_server_are_told_to_come_again() {
    let site = site(|options| options.max_connections = 2).await;
    let client = Client::of(&site).await;
    let never = [tokio::spawn(client.ask("/never")), tokio::spawn(client.ask("/never"))];
    let refused = timeout(SOON, async {
        loop {
            let response = client.ask("/").await.unwrap();
            if response.status() != StatusCode::OK {
                return response;
            }
        }
    });
    let refused = refused.await.unwrap();
    assert_eq!((refused.status(), &refused.headers()["retry-after"]), (503.try_into().unwrap(), &"1".parse().unwrap()));
    let id = refused.headers()["x-request-id"].to_str().unwrap().to_owned();
    let document = text(refused).await;
    assert!(document.contains("urn:dormouse:problem:node-overloaded") && document.contains(&id), "{document}");
    never.iter().for_each(JoinHandle::abort);
    let answered = async { while client.ask("/").await.unwrap().status() != StatusCode::OK {} };
    timeout(SOON, answered).await.expect("a request that its client gave up leaves its place");
}

#[tokio::test]
async fn a_body_that_nobody_reads_costs_no_answer() {
    let site = site(|_| {}).await;
    let client = Client::of(&site).await;
    let request = Request::post("https://localhost/").body(Body::from(vec![0; LARGE])).unwrap();
    let refused = timeout(SOON, client.requests.clone().send_request(request)).await.unwrap().unwrap();
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(text(client.ask("/").await.unwrap()).await, "here");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let site = site(|_| {}).await;
    let client = Client::with(&site, |builder| _ = builder.max_send_buf_size(1 << 20)).await;
    let request = Request::get("https://localhost/").header("x-large", "x".repeat(70 << 10)).body(Body::empty());
    let refused = client.requests.clone().send_request(request.unwrap()).await;
    let refused = refused.unwrap();
    assert_eq!(refused.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(text(Client::of(&site).await.ask("/").await.unwrap()).await, "here");
}

#[tokio::test]
async fn shutting_down_finishes_the_requests_under_way() {
    let site = site(|_| {}).await;
    let (client, idle) = (Client::of(&site).await, Client::of(&site).await);
    let slow = tokio::spawn(client.ask("/slow"));
    // The slow request has begun when a later one is answered.
    client.ask("/").await.unwrap();
    idle.ask("/").await.unwrap();
    site.serving.shut_down_within(FOREVER).await;
    assert_eq!(text(slow.await.unwrap().unwrap()).await, "at last");
    client.closed().await;
    idle.closed().await;
}

#[tokio::test]
async fn a_stream_that_its_client_does_not_take_does_not_delay_the_shutdown() {
    let site = site(|_| {}).await;
    let client = Client::of(&site).await;
    let _untaken = client.ask("/stream").await.unwrap();
    site.serving.shut_down_within(FOREVER).await;
    client.closed().await;
}

#[tokio::test]
async fn a_server_that_is_dropped_cuts_off_everything() {
    let site = site(|_| {}).await;
    let client = Client::of(&site).await;
    let never = tokio::spawn(client.ask("/never"));
    client.ask("/").await.unwrap();
    site.serving.task.abort();
    timeout(SOON, never).await.unwrap().unwrap().unwrap_err();
    client.closed().await;
}

#[tokio::test]
async fn a_panic_costs_its_request_alone() {
    let site = site(|_| {}).await;
    let client = Client::of(&site).await;
    timeout(SOON, client.ask("/panic")).await.unwrap().unwrap_err();
    assert_eq!(text(client.ask("/").await.unwrap()).await, "here");
}
