//! A witness sends each request once, and believes every answer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use dormouse_harness::{Answer, Client, NoAnswer, eventually};
use serde_json::json;

use super::DEADLINE;

/// Aggregates that the witness keeps live by writing to them.
const LIVE_AGGREGATES: usize = 8;

/// The pause between two requests of the same type.
const PAUSE: Duration = Duration::from_millis(40);

/// Longer than everything that the witness waits for.
const SOON: Duration = Duration::from_secs(30);

/// An aggregate that is written once before any fault, and then only read.
const LIVE: &str = "inventory/only-read";

pub(crate) struct Witness {
    record: Arc<Record>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Record {
    gone: AtomicBool,
    sent: AtomicUsize,
    commands: Mutex<Vec<Exchange>>,
    states: Mutex<Vec<Exchange>>,
    readiness: Mutex<Vec<Exchange>>,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    aggregate: String,
    key: String,
    sent: Instant,
    took: Duration,
    /// Zero if there was no answer.
    status: u16,
    has_retry_after: bool,
}

impl Witness {
    pub(crate) fn of(url: &str) -> Self {
        let client = Client::new(url);
        let stocked = client.post(&format!("/v1/{LIVE}/update-inventory"), &delivery()).unwrap();
        assert_eq!(stocked.status, 200, "{stocked}");
        let record = Arc::new(Record::default());
        let watch = |work: fn(&Client, &Record)| {
            let (client, record) = (client.clone(), Arc::clone(&record));
            thread::spawn(move || {
                while !record.gone.load(Ordering::SeqCst) {
                    work(&client, &record);
                    sleep(PAUSE);
                }
            })
        };
        let threads =
            vec![watch(command_to_a_live_aggregate), watch(command_to_a_new_aggregate), watch(state), watch(readiness)];
        Self { record, threads }
    }

    pub(crate) fn sees_unreadiness(&self, since: Instant) {
        eventually("/health/ready says no", SOON, || {
            self.record.readiness.lock().unwrap().iter().any(|exchange| exchange.sent > since && exchange.status == 503)
        });
    }

    pub(crate) fn sees_readiness(&self, since: Instant) {
        eventually("/health/ready says yes", SOON, || {
            self.record.readiness.lock().unwrap().iter().any(|exchange| exchange.sent > since && exchange.status == 200)
        });
    }

    /// Commands are refused before their deadline, with a `Retry-After` header.
    pub(crate) fn sees_refusals(&self, since: Instant) {
        eventually("commands are refused", SOON, || {
            let commands = self.record.commands.lock().unwrap();
            let refused = commands.iter().filter(|exchange| exchange.sent > since && exchange.status == 503);
            refused.filter(|exchange| exchange.took < DEADLINE).count() >= 10
        });
    }

    /// Reads of live aggregates get their state, now.
    pub(crate) fn sees_live_state(&self) {
        let now = Instant::now();
        eventually("the live state is shown", SOON, || {
            self.record.states.lock().unwrap().iter().any(|exchange| exchange.sent > now && exchange.status == 200)
        });
    }

    /// The time from then until the first successful command was sent.
    pub(crate) fn is_served_again(&self, since: Instant, bound: Duration) -> Duration {
        let served = |exchange: &&Exchange| exchange.sent > since && exchange.status == 200;
        eventually("commands are carried out again", bound, || {
            let commands = self.record.commands.lock().unwrap();
            commands.iter().filter(served).map(|exchange| exchange.sent + exchange.took - since).min()
        })
    }

    /// Whether a command happened that was answered with 503.
    pub(crate) fn was_refused_wrongly(&self, client: &Client) -> bool {
        let commands = self.record.commands.lock().unwrap().clone();
        commands.iter().any(|exchange| exchange.status == 503 && happened(client, exchange))
    }

    /// Takes every answer literally, and returns those that were wrong.
    pub(crate) fn leave(self, client: &Client) -> Vec<String> {
        self.record.gone.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let commands = self.record.commands.lock().unwrap();
        let mut findings = Vec::new();
        for exchange in commands.iter() {
            let happened = happened(client, exchange);
            match exchange.status {
                200 if !happened => findings.push(format!("acknowledged, and lost: {exchange:?}")),
                503 if happened => findings.push(format!("503, but the command happened: {exchange:?}")),
                503 if !exchange.has_retry_after => findings.push(format!("503 has no Retry-After: {exchange:?}")),
                200 | 503 | 504 => {}
                _ => findings.push(format!("unexpected answer: {exchange:?}")),
            }
        }
        let states = self.record.states.lock().unwrap();
        let unread = states.iter().filter(|exchange| exchange.status != 200);
        findings.extend(unread.map(|exchange| format!("a live state was not returned: {exchange:?}")));
        let count = |status| commands.iter().filter(|exchange| exchange.status == status).count();
        let slowest = commands.iter().map(|exchange| exchange.took).max().unwrap_or_default();
        println!(
            "the witness: {} carried out, {} refused with 503, {} of unknown outcome, the slowest after {slowest:.1?}",
            count(200),
            count(503),
            count(504),
        );
        findings
    }
}

fn delivery() -> serde_json::Value {
    json!({"change": 3, "reason": "delivery"})
}

fn command_to_a_live_aggregate(client: &Client, record: &Record) {
    command(client, record, |number| format!("inventory/witness-live-{}", number % LIVE_AGGREGATES));
}

fn command_to_a_new_aggregate(client: &Client, record: &Record) {
    command(client, record, |number| format!("inventory/witness-new-{number}"));
}

fn command(client: &Client, record: &Record, aggregate_of: fn(usize) -> String) {
    let number = record.sent.fetch_add(1, Ordering::SeqCst);
    let (aggregate, key) = (aggregate_of(number), format!("witness-{number}"));
    let sent = Exchange::nothing(&aggregate, &key);
    let path = format!("/v1/{aggregate}/update-inventory");
    let answer = client.post_with(&path, &[("Idempotency-Key", &key)], &delivery());
    record.commands.lock().unwrap().push(sent.answered(&answer));
}

fn state(client: &Client, record: &Record) {
    let sent = Exchange::nothing(LIVE, "");
    let exchange = sent.answered(&client.get(&format!("/v1/{LIVE}")));
    record.states.lock().unwrap().push(exchange);
}

fn readiness(client: &Client, record: &Record) {
    let sent = Exchange::nothing("", "");
    let exchange = sent.answered(&client.get("/health/ready"));
    record.readiness.lock().unwrap().push(exchange);
}

impl Exchange {
    fn nothing(aggregate: &str, key: &str) -> Self {
        let (aggregate, key) = (aggregate.to_owned(), key.to_owned());
        Self { aggregate, key, sent: Instant::now(), took: Duration::ZERO, status: 0, has_retry_after: false }
    }

    fn answered(mut self, answer: &Result<Answer, NoAnswer>) -> Self {
        self.took = self.sent.elapsed();
        if let Ok(answer) = answer {
            self.status = answer.status;
            self.has_retry_after = answer.header("retry-after").is_some();
        }
        self
    }
}

/// Whether the command is in the history of its aggregate.
fn happened(client: &Client, exchange: &Exchange) -> bool {
    let path = format!("/v1/{}/events?limit=1000", exchange.aggregate);
    let events = eventually("a history is read", SOON, || {
        client.get(&path).ok().filter(|answer| matches!(answer.status, 200 | 404))
    });
    if events.status == 404 {
        return false;
    }
    let events = events.json();
    let events = events["events"].as_array().unwrap();
    events.iter().any(|event| event["metadata"]["command"]["key"] == exchange.key)
}
