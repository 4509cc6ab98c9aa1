//! All kinds of hostile clients at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dormouse_harness::{Wire, post_bytes};

use crate::nonsense::{deep_json, head_of, large_body, many_headers};

/// Connections that never send anything.
pub(crate) const IDLE: usize = 2_000;

/// Connections that send a byte a second.
const SLOW: usize = 50;

/// The pause between two attacks of the same kind. A crowd that uses all of the processor would measure the processor
/// and not the server.
const PAUSE: Duration = Duration::from_millis(50);

const A_MOMENT: Duration = Duration::from_millis(20);

/// Hostile clients, which run until this is dropped.
pub(crate) struct Crowd {
    enough: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Returns when all of them are running.
    pub(crate) fn gather(address: SocketAddr) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let mut repeat = |attack: fn(&mut Wire)| {
            let enough = Arc::clone(&enough);
            threads.push(thread::spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    attack(&mut Wire::connect(address));
                    thread::sleep(PAUSE);
                }
            }));
        };
        repeat(hang_up_before_the_request);
        repeat(hang_up_in_the_head);
        repeat(hang_up_in_the_body);
        repeat(hang_up_before_the_answer);
        repeat(hang_up_during_the_answer);
        repeat(|wire| send_and_hear(wire, deep_json("/v1/inventory/deep/update-inventory")));
        repeat(|wire| send_and_hear(wire, many_headers()));
        repeat(|wire| send_and_hear(wire, large_body(true)));
        repeat(|wire| send_and_hear(wire, large_body(false)));
        let mut crowd = Self { enough, threads };
        crowd.idle_about(address);
        crowd.crawl(address);
        crowd
    }

    /// Keeps the number of idle connections: the server closes them from time to time.
    fn idle_about(&mut self, address: SocketAddr) {
        let mut idle: Vec<Wire> = (0..IDLE).map(|_| Wire::connect(address)).collect();
        let enough = Arc::clone(&self.enough);
        self.threads.push(thread::spawn(move || {
            while !enough.load(Ordering::Relaxed) {
                for wire in &mut idle {
                    if wire.is_closed() {
                        *wire = Wire::connect(address);
                    }
                }
                thread::sleep(PAUSE);
            }
        }));
    }

    /// Sends a byte a second of a head or of a body, again and again.
    fn crawl(&mut self, address: SocketAddr) {
        let enough = Arc::clone(&self.enough);
        self.threads.push(thread::spawn(move || {
            let mut slow: Vec<(Wire, usize)> = (0..SLOW).map(|number| (crawling(address, number), 0)).collect();
            while !enough.load(Ordering::Relaxed) {
                let round = Instant::now();
                for (number, (wire, sent)) in slow.iter_mut().enumerate() {
                    if !wire.send(if number.is_multiple_of(2) { "x" } else { " " }) || wire.is_closed() {
                        (*wire, *sent) = (crawling(address, number), 0);
                    }
                }
                while round.elapsed() < Duration::from_secs(1) && !enough.load(Ordering::Relaxed) {
                    thread::sleep(PAUSE);
                }
            }
        }));
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // The message of the panic was printed; a second panic would end the process.
            let _panicked = thread.join();
        }
    }
}

/// Even numbers are slow in the head, odd ones in the body.
fn crawling(address: SocketAddr, number: usize) -> Wire {
    let mut wire = Wire::connect(address);
    let body = " ".repeat(1_000);
    let request = post_bytes("/v1/inventory/slow/update-inventory", &body);
    wire.send(if number.is_multiple_of(2) { b"GET /" } else { &request[..request.len() - body.len()] });
    wire
}

fn send_and_hear(wire: &mut Wire, bytes: Vec<u8>) {
    // The server may close the connection before everything is sent.
    let _closed = wire.send(bytes);
    wire.listen_for(A_MOMENT);
}

pub(crate) fn hang_up_before_the_request(_wire: &mut Wire) {}

pub(crate) fn hang_up_in_the_head(wire: &mut Wire) {
    wire.send("POST /v1/inventory/hung-up/update-inv");
}

pub(crate) fn hang_up_in_the_body(wire: &mut Wire) {
    let request = restock();
    wire.send(&request[..request.len() - 5]);
}

pub(crate) fn hang_up_before_the_answer(wire: &mut Wire) {
    wire.send(restock());
}

pub(crate) fn hang_up_during_the_answer(wire: &mut Wire) {
    wire.send(head_of("/openapi.json"));
    wire.heard_until("HTTP/1.1 200", Duration::from_secs(30));
}

fn restock() -> Vec<u8> {
    post_bytes("/v1/inventory/hung-up/update-inventory", r#"{"change":1,"reason":"hung up"}"#)
}
