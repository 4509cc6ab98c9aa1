//! Read your writes: a read that names the position of a write sees it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use dormouse_harness::{Answer, Client, Server};
use serde_json::{Value, json};

use crate::place::Place;

/// The number of writes, each with a read after it.
const PAIRS: usize = 10_000;

/// Each client has its own sku, and so knows the expected stock.
const CLIENTS: usize = 32;

#[test]
fn a_read_that_names_a_write_sees_it_on_sqlite() {
    no_read_is_stale_with_the_token(&Place::Sqlite);
}

#[test]
fn a_read_that_names_a_write_sees_it_on_postgres() {
    no_read_is_stale_with_the_token(&Place::postgres());
}

fn no_read_is_stale_with_the_token(place: &Place) {
    let server = place.server().start();
    let with_token = Pairs::made(&server, "with", true);
    assert_eq!(with_token, Pairs { made: PAIRS, stale: 0 });

    // Views follow the log, and are not part of the write: without the token, some read comes too early.
    let without = Pairs::made(&server, "without", false);
    assert!(without.stale > 0, "of {} reads without the token none was stale: the test cannot fail", without.made);
    println!("without the token, one of {} reads was stale", without.made);
}

/// The number of writes that were read, and of reads that did not see theirs.
#[derive(Debug, PartialEq, Eq)]
struct Pairs {
    made: usize,
    stale: usize,
}

impl Pairs {
    /// With the token, makes all pairs; without it, until a read is stale.
    fn made(server: &Server, name: &str, with_token: bool) -> Self {
        let (made, stale) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (made, stale, sku) = (&made, &stale, format!("{name}-{client}"));
                scope.spawn(move || {
                    let connection = server.client();
                    let mut pieces = 0;
                    // The clients share the pairs.
                    while made.fetch_add(1, Ordering::Relaxed) < PAIRS {
                        pieces += 1;
                        let written = write(&connection, &sku);
                        let by_key = pieces % 2 == 0;
                        if read(&connection, &sku, by_key, with_token.then_some(written)) != Some((pieces, written)) {
                            stale.fetch_add(1, Ordering::Relaxed);
                        }
                        if !with_token && stale.load(Ordering::Relaxed) > 0 {
                            return;
                        }
                    }
                });
            }
        });
        Self { made: made.into_inner().min(PAIRS), stale: stale.into_inner() }
    }
}

/// Adds one piece. Returns the position of its event.
fn write(connection: &Client, sku: &str) -> u64 {
    let more = json!({"change": 1, "reason": "delivery"});
    let answer = connection.post(&format!("/v1/inventory/{sku}/update-inventory"), &more).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    position(&answer)
}

/// The number of pieces that the view shows, and the last event of the sku that it has seen.
fn read(connection: &Client, sku: &str, by_key: bool, token: Option<u64>) -> Option<(u64, u64)> {
    let path = match by_key {
        true => format!("/v1/views/inventory/{sku}"),
        false => format!("/v1/views/inventory?filter%5Bsku%5D={sku}"),
    };
    let token = token.map(|token| token.to_string());
    let headers: Vec<(&str, &str)> = token.iter().map(|token| ("Dormouse-Min-Position", token.as_str())).collect();
    let answer = connection.request("GET", &path, &headers, None).unwrap();
    let found = match answer.status {
        200 if by_key => answer.json(),
        200 => answer.json()["items"][0].clone(),
        404 => Value::Null,
        _ => panic!("{path}: {answer}"),
    };
    let (Some(pieces), Some(changed)) = (found["document"]["on_hand"].as_u64(), found["position"].as_u64()) else {
        return None;
    };
    assert!(changed <= position(&answer), "{answer} knows more than its position says");
    Some((pieces, changed))
}

fn position(answer: &Answer) -> u64 {
    answer.position().expect("an answer says its position")
}
