//! A client of streams.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::timeout;

use super::support::{Answer, Server, request};
use crate::server::EndlessBody;

/// Bounds the wait for a message. Heartbeats do not extend it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream with the bytes that were taken so far.
pub(super) struct Following {
    pub(super) headers: HeaderMap,
    body: Body,
    text: String,
}

/// One message.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Message {
    pub(super) id: Option<u64>,
    pub(super) data: Option<Value>,
}

impl Server {
    /// Opens the stream at an address.
    pub(super) async fn follow(&self, path: &str) -> Following {
        self.follow_with(path, &[]).await
    }

    /// Reopens a stream after an event.
    pub(super) async fn follow_on(&self, path: &str, last_id: u64) -> Following {
        self.follow_with(path, &[("last-event-id", &last_id.to_string())]).await
    }

    pub(super) async fn follow_with(&self, path: &str, headers: &[(&str, &str)]) -> Following {
        let response = self.service.answer(stream_request(path, headers)).await;
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, 200, "{path}");
        assert!(parts.extensions.get::<EndlessBody>().is_some(), "the server would wait for its end");
        Following { headers: parts.headers, body, text: String::new() }
    }

    /// Requests a stream, and returns the problem that is sent instead.
    pub(super) async fn refuses_to_stream(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = self.send(stream_request(path, headers)).await;
        assert!(answer.status >= 400, "{answer:?}");
        answer
    }
}

fn stream_request(path: &str, headers: &[(&str, &str)]) -> axum::extract::Request {
    let headers: Vec<_> = headers.iter().copied().chain([("accept", "text/event-stream")]).collect();
    request(Method::GET, path, &headers, Body::empty())
}

impl Following {
    /// The next message; `None` if the stream has ended.
    pub(super) async fn hear(&mut self) -> Option<Message> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let message = Message::parse(message);
                self.text = rest.to_owned();
                return Some(message);
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("the stream sends a message")?;
            let bytes: Bytes = frame.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next message with an event in it.
    pub(super) async fn event(&mut self) -> (u64, Value) {
        let event = async {
            loop {
                if let Message { id, data: Some(data) } = self.hear().await.expect("the stream continues") {
                    return (id.unwrap(), data);
                }
            }
        };
        timeout(PATIENCE, event).await.expect("the stream shows an event")
    }

    /// This many events.
    pub(super) async fn events(&mut self, count: usize) -> Vec<(u64, Value)> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.event().await);
        }
        events
    }

    /// Reads until a message has this id and no event.
    pub(super) async fn read_to_id(&mut self, id: u64) {
        self.goes_on_to(&Message { id: Some(id), data: None }).await;
    }

    /// Reads until the next heartbeat.
    pub(super) async fn comment(&mut self) {
        self.goes_on_to(&Message::default()).await;
    }

    async fn goes_on_to(&mut self, message: &Message) {
        let heard = async { while self.hear().await.expect("the stream continues") != *message {} };
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("the stream never sends {message:?}"));
    }

    /// Makes sure that only heartbeats follow.
    pub(super) async fn ends(mut self) {
        let rest = async {
            while let Some(message) = self.hear().await {
                assert_eq!(message.data, None);
            }
        };
        timeout(PATIENCE, rest).await.expect("the stream ends");
    }
}

impl Message {
    #[track_caller]
    fn parse(text: &str) -> Self {
        let mut message = Self::default();
        for line in text.lines() {
            match line.split_once(':').unwrap() {
                ("", _) => {}
                ("id", id) => message.id = Some(id.trim().split('-').next().unwrap().parse().unwrap()),
                ("data", data) => message.data = Some(serde_json::from_str(data).unwrap()),
                other => panic!("{other:?} is no field of a message here"),
            }
        }
        message
    }
}
