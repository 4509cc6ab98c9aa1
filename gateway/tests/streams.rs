//! Clients of streams that take nothing are given up.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests do")]

use std::time::Duration;

use dormouse::{Aggregate, App, Config, Context, DomainEvent, JournalUrl, Running};
use dormouse_harness::{Client, Wire, eventually};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::runtime::Runtime;

const SOON: Duration = Duration::from_secs(30);

/// More bytes than the network buffers for a client that takes nothing.
const A_LOT: usize = 60;

/// The size of one of the events.
const LONG: usize = 800_000;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Diary(u64);

#[derive(Serialize, Deserialize, JsonSchema)]
enum DiaryCommand {
    Write { text: String },
    Close {},
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum DiaryEvent {
    Written { text: String },
    Closed,
}

impl DomainEvent for DiaryEvent {}

impl Aggregate for Diary {
    const TYPE: &'static str = "diary";
    type Command = DiaryCommand;
    type Event = DiaryEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, command: DiaryCommand, context: &mut Context<Self>) -> Result<(), Self::Rejection> {
        context.emit(match command {
            DiaryCommand::Write { text } => DiaryEvent::Written { text },
            DiaryCommand::Close {} => DiaryEvent::Closed,
        });
        Ok(())
    }

    fn evolve(&mut self, _: &DiaryEvent) {
        self.0 += 1;
    }
}

/// A server with a log of many megabytes.
struct Library {
    _runtime: Runtime,
    running: Running,
}

impl Library {
    fn open(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::embedded();
        config.journal.url = JournalUrl::Memory;
        config.gateway.listen = "127.0.0.1:0".parse().unwrap();
        configure(&mut config);
        let runtime = Runtime::new().unwrap();
        let running = runtime.block_on(App::new("library").aggregate::<Diary>().start(config)).unwrap();
        let library = Self { _runtime: runtime, running };
        for _ in 0..A_LOT {
            library.write("x".repeat(LONG));
        }
        library
    }

    fn client(&self) -> Client {
        Client::new(format!("http://{}", self.running.address()))
    }

    fn write(&self, text: String) {
        let answer = self.client().post("/v1/diary/d-1/write", &json!({ "text": text })).unwrap();
        assert_eq!(answer.status, 200, "{answer}");
    }

    fn follow(&self, path: &str) -> Wire {
        let mut wire = Wire::connect(self.running.address());
        assert!(wire.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n")));
        wire
    }

    /// Whether one more stream may open.
    fn has_room(&self) -> bool {
        self.follow("/v1/events?after=latest").heard_until("\r\n\r\n", SOON).starts_with("HTTP/1.1 200 ")
    }
}

#[test]
fn a_client_that_takes_nothing_is_given_up_and_one_that_waits_is_not() {
    let library = Library::open(|config| {
        config.gateway.max_streams = 3.try_into().unwrap();
        config.commands.timeout = Duration::from_secs(5);
        config.gateway.header_timeout = Duration::from_secs(5);
        config.gateway.request_timeout = Duration::from_secs(10);
    });
    let mut waiting = library.follow("/v1/events?event=Closed&after=latest");
    waiting.heard_until(&format!("id: {A_LOT}\n\n"), SOON);
    let _idle = ["/v1/events", "/v1/diary/d-1/events"].map(|path| {
        let mut idle = library.follow(path);
        idle.heard_until("\r\n\r\n", SOON);
        idle
    });
    assert!(!library.has_room());
    eventually("the end of the client that takes nothing", SOON, || library.has_room());
    let answer = library.client().post("/v1/diary/d-1/close", &json!({})).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    waiting.heard_until("\"Closed\"", SOON);
}
