//! Readers of large events after small ones take only as much memory as is configured.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dormouse_harness::{
    Client, Postgres, Server, ServerBuilder, chaos_binary, eventually, forget_peak_resident_bytes, peak_resident_bytes,
    resident_bytes,
};
use serde_json::json;

/// Small events: a guess from their size about how many fit is wrong for the large ones.
const SMALL: usize = 2_000;

/// Large events, and their bytes.
const LARGE: usize = 160;
const LARGE_BYTES: usize = 1_000_000;

/// The aggregates with the large events.
const AGGREGATES: usize = 4;

/// The pages that a reader reads, one after the other; more would take long in a debug build.
const PAGES: usize = 4;

/// The readers of each kind at the same time.
const READERS: usize = 8;

/// Streams whose clients read nothing.
const SLOW_STREAMS: usize = 20;

const MIB: u64 = 1 << 20;

/// The configured sizes: pages and streams 16 MiB each, batches 4 MiB.
const SETTINGS: [&str; 3] =
    ["gateway.read_budget=16MiB", "gateway.stream_budget=16MiB", "projections.batch_bytes=4MiB"];

/// The limit that follows from them, with everything else that a reader needs: three of the budgets, since an event
/// exists as stored bytes, as JSON values and as text for a moment; two batches for each of two builds, and as much
/// again decoded; the connections that read, 8 with a cache of 2 MiB and an event in transfer (or 16 without a cache,
/// in PostgreSQL); and what the allocator keeps.
const BOUND: u64 = 3 * (16 + 16) * MIB + 2 * 2 * 2 * 4 * MIB + 8 * 4 * MIB + 64 * MIB;

const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn all_readers_of_large_events_together_stay_within_what_is_configured_on_sqlite() {
    readers_stay_within_what_is_configured(Server::builder());
}

#[test]
fn all_readers_of_large_events_together_stay_within_what_is_configured_on_postgres() {
    readers_stay_within_what_is_configured(Server::builder().journal(Postgres::shared().create_database()));
}

fn readers_stay_within_what_is_configured(builder: ServerBuilder) {
    let builder = SETTINGS.iter().fold(builder.program(chaos_binary()), |builder, set| builder.set(*set));
    let mut server = builder.start();
    write(&server.client());
    // The memory for writing is another matter.
    server.terminate();
    server.wait(PATIENCE);
    server.restart();
    let client = server.client();
    eventually("a view that has everything", PATIENCE, || lag(&client) == 0);
    let before = resident_bytes(server.pid());
    forget_peak_resident_bytes(server.pid());

    let streams: Vec<TcpStream> = (0..SLOW_STREAMS).map(|_| slow_stream(server.address())).collect();
    let rebuild = client.post("/admin/projections/stories/rebuild", &json!({})).unwrap();
    assert!((200..300).contains(&rebuild.status), "{rebuild}");
    let mut readers = Vec::new();
    for number in 0..READERS {
        readers.push(reader(&client, format!("/v1/events?limit=1000&after={}", SMALL - 100), PAGES));
        readers.push(reader(&client, format!("/v1/chaos/large-{}/events?limit=1000", number % AGGREGATES), PAGES));
    }
    // A filter that finds nothing looks at everything.
    readers.push(reader(&client, "/v1/events?type=inventory&limit=1".to_owned(), usize::MAX));
    let read: usize = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
    assert!(read > READERS * 2 * (PAGES - 1) * LARGE_BYTES, "{read} bytes of answers");
    eventually("a view that was built anew", PATIENCE, || {
        client.get("/admin/projections/stories").unwrap().json()["rebuild"].is_null()
    });
    drop(streams);

    let growth = peak_resident_bytes(server.pid()).saturating_sub(before);
    println!("{} MiB more than {} MiB, of {} MiB at most", growth / MIB, before / MIB, BOUND / MIB);
    assert!(growth < BOUND, "{} MiB more than {} MiB, of {} MiB at most", growth / MIB, before / MIB, BOUND / MIB);
}

fn write(client: &Client) {
    let multiplied = client.post("/v1/chaos/small/multiply", &json!({ "events": SMALL / 2 })).unwrap();
    assert_eq!(multiplied.status, 200, "{multiplied}");
    let multiplied = client.post("/v1/chaos/small/multiply", &json!({ "events": SMALL / 2 })).unwrap();
    assert_eq!(multiplied.status, 200, "{multiplied}");
    let writers = (0..AGGREGATES).map(|number| {
        let client = client.clone();
        thread::spawn(move || {
            for _ in 0..LARGE / AGGREGATES {
                let path = format!("/v1/chaos/large-{number}/bloat");
                let answer = client.post(&path, &json!({ "bytes": LARGE_BYTES })).unwrap();
                assert_eq!(answer.status, 200, "{answer}");
            }
        })
    });
    writers.collect::<Vec<_>>().into_iter().for_each(|writer| writer.join().unwrap());
}

fn lag(client: &Client) -> u64 {
    client.get("/admin/projections/stories").unwrap().json()["lag"].as_u64().unwrap()
}

/// A client that follows the log and takes nothing more after the first bytes.
fn slow_stream(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request =
        format!("GET /v1/events?after={SMALL} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 64]).unwrap();
    stream
}

/// Reads page after page, and says how many bytes they had.
fn reader(client: &Client, first: String, pages: usize) -> JoinHandle<usize> {
    let client = client.clone();
    thread::spawn(move || {
        let (mut bytes, mut next) = (0, Some(first));
        for _ in 0..pages {
            let Some(path) = next else { break };
            let answer = client.get(&path).unwrap();
            assert_eq!(answer.status, 200, "{path}");
            bytes += answer.body.len();
            // `next` stands at the end, and the rest need not be understood.
            next = next_of(&answer.body);
        }
        bytes
    })
}

fn next_of(body: &[u8]) -> Option<String> {
    let end = String::from_utf8_lossy(&body[body.len().saturating_sub(400)..]).into_owned();
    let (_, next) = end.rsplit_once("],\"next\":\"")?;
    Some(next.split_once('"')?.0.to_owned())
}
