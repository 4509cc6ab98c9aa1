//! A witness sends each request once, and believes every answer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use dormouse_harness::{Answer, Client, NoAnswer, eventually};
use serde_json::json;

use super::DEADLINE;

/// Aggregates that the witness keeps live by writing to them.
const AWAKE: usize = 8;

/// The pause between two requests of the same type.
const PAUSE: Duration = Duration::from_millis(40);

/// Longer than everything that the witness waits for.
const SOON: Duration = Duration::from_secs(30);

/// An aggregate that is written once before any fault, and then only read.
const LIVE: &str = "inventory/only-read";

pub(crate) struct Witness {
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    gone: AtomicBool,
    sent: AtomicUsize,
    commands: Mutex<Vec<Told>>,
    states: Mutex<Vec<Told>>,
    readiness: Mutex<Vec<Told>>,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    aggregate: String,
    key: String,
    asked: Instant,
    took: Duration,
    /// Zero if there was no answer.
    status: u16,
    comes_again: bool,
}

impl Witness {
    pub(crate) fn of(url: &str) -> Self {
        let client = Client::new(url);
        let stocked = client.post(&format!("/v1/{LIVE}/update-inventory"), &delivery()).unwrap();
        assert_eq!(stocked.status, 200, "{stocked}");
        let seen = Arc::new(Seen::default());
        let watch = |work: fn(&Client, &Seen)| {
            let (client, seen) = (client.clone(), Arc::clone(&seen));
            thread::spawn(move || {
                while !seen.gone.load(Ordering::SeqCst) {
                    work(&client, &seen);
                    sleep(PAUSE);
                }
            })
        };
        let threads = vec![watch(command_who_is_awake), watch(command_who_is_new), watch(state), watch(readiness)];
        Self { seen, threads }
    }

    pub(crate) fn sees_unreadiness(&self, since: Instant) {
        eventually("/health/ready says no", SOON, || {
            self.seen.readiness.lock().unwrap().iter().any(|told| told.asked > since && told.status == 503)
        });
    }

    pub(crate) fn sees_readiness(&self, since: Instant) {
        eventually("/health/ready says yes", SOON, || {
            self.seen.readiness.lock().unwrap().iter().any(|told| told.asked > since && told.status == 200)
        });
    }

    /// Commands are refused before their deadline, with a `Retry-After` header.
    pub(crate) fn sees_refusals(&self, since: Instant) {
        eventually("commands are refused", SOON, || {
            let commands = self.seen.commands.lock().unwrap();
            let refused = commands.iter().filter(|told| told.asked > since && told.status == 503);
            refused.filter(|told| told.took < DEADLINE).count() >= 10
        });
    }

    /// Reads of live aggregates get their state, now.
    pub(crate) fn sees_live_state(&self) {
        let now = Instant::now();
        eventually("the live state is shown", SOON, || {
            self.seen.states.lock().unwrap().iter().any(|told| told.asked > now && told.status == 200)
        });
    }

    /// The time from then until the first successful command was sent.
    pub(crate) fn is_served_again(&self, since: Instant, bound: Duration) -> Duration {
        let served = |told: &&Told| told.asked > since && told.status == 200;
        eventually("commands are carried out again", bound, || {
            let commands = self.seen.commands.lock().unwrap();
            commands.iter().filter(served).map(|told| told.asked + told.took - since).min()
        })
    }

    /// Takes every answer literally, and returns those that were wrong.
    pub(crate) fn leave(self, client: &Client) -> Vec<String> {
        self.seen.gone.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let commands = self.seen.commands.lock().unwrap();
        let mut findings = Vec::new();
        for told in commands.iter() {
            let happened = happened(client, told);
            match told.status {
                200 if !happened => findings.push(format!("acknowledged, and lost: {told:?}")),
                503 if happened => findings.push(format!("503 says that nothing happened, and it did: {told:?}")),
                503 if !told.comes_again => findings.push(format!("503 does not say when to come again: {told:?}")),
                200 | 503 | 504 => {}
                _ => findings.push(format!("no such answer was expected: {told:?}")),
            }
        }
        let states = self.seen.states.lock().unwrap();
        let unread = states.iter().filter(|told| told.status != 200);
        findings.extend(unread.map(|told| format!("a live state was not shown: {told:?}")));
        let count = |status| commands.iter().filter(|told| told.status == status).count();
        let slowest = commands.iter().map(|told| told.took).max().unwrap_or_default();
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

fn command_who_is_awake(client: &Client, seen: &Seen) {
    command(client, seen, |number| format!("inventory/witness-awake-{}", number % AWAKE));
}

fn command_who_is_new(client: &Client, seen: &Seen) {
    command(client, seen, |number| format!("inventory/witness-new-{number}"));
}

fn command(client: &Client, seen: &Seen, whom: fn(usize) -> String) {
    let number = seen.sent.fetch_add(1, Ordering::SeqCst);
    let (aggregate, key) = (whom(number), format!("witness-{number}"));
    let asked = Told::nothing(&aggregate, &key);
    let path = format!("/v1/{aggregate}/update-inventory");
    let answer = client.post_with(&path, &[("Idempotency-Key", &key)], &delivery());
    seen.commands.lock().unwrap().push(asked.answered(&answer));
}

fn state(client: &Client, seen: &Seen) {
    let asked = Told::nothing(LIVE, "");
    let told = asked.answered(&client.get(&format!("/v1/{LIVE}")));
    seen.states.lock().unwrap().push(told);
}

fn readiness(client: &Client, seen: &Seen) {
    let asked = Told::nothing("", "");
    let told = asked.answered(&client.get("/health/ready"));
    seen.readiness.lock().unwrap().push(told);
}

impl Told {
    fn nothing(aggregate: &str, key: &str) -> Self {
        let (aggregate, key) = (aggregate.to_owned(), key.to_owned());
        Self { aggregate, key, asked: Instant::now(), took: Duration::ZERO, status: 0, comes_again: false }
    }

    fn answered(mut self, answer: &Result<Answer, NoAnswer>) -> Self {
        self.took = self.asked.elapsed();
        if let Ok(answer) = answer {
            self.status = answer.status;
            self.comes_again = answer.header("retry-after").is_some();
        }
        self
    }
}

/// Whether the command is in the history of its aggregate.
fn happened(client: &Client, told: &Told) -> bool {
    let events = client.get(&format!("/v1/{}/events?limit=1000", told.aggregate)).unwrap();
    if events.status == 404 {
        return false;
    }
    let events = events.json();
    let events = events["events"].as_array().unwrap();
    events.iter().any(|event| event["metadata"]["command"]["key"] == told.key)
}
