//! Views are rebuilt under load, again and again, and readers do not notice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use dormouse_harness::{Answer, Client, Fold, Log, ServedView, Shop, VIEWS, ViewDocument, eventually};

use crate::operator::{build, rebuild, wait_until_rebuilt};
use crate::place::Place;

/// The number of rebuilds of each view.
const REBUILDS: usize = 3;

/// The number of events in the log before the first rebuild: with small batches, a rebuild takes some time then.
const ACKNOWLEDGED_BEFORE: usize = 1_500;

/// The pause between two reads of one reader: thousands of reads in total, and time for other work.
const PAUSE: Duration = Duration::from_millis(2);

/// The number of orders in a list, which are too many for one page.
const PAGE: usize = 40;

/// The bound for the views to show what was acknowledged.
const SHOWN_BOUND: Duration = Duration::from_secs(60);

/// The bound for dropping a build that is no longer served.
const DROP_BOUND: Duration = Duration::from_secs(30);

#[test]
fn readers_notice_no_rebuild_of_a_view_on_sqlite() {
    readers_notice_no_rebuild(&Place::Sqlite);
}

#[test]
fn readers_notice_no_rebuild_of_a_view_on_postgres() {
    readers_notice_no_rebuild(&Place::postgres());
}

fn readers_notice_no_rebuild(place: &Place) {
    let server = place.server().set("projections.batch_events=64").start();
    let shop = Shop::builder().clients(4).open(&server.url());
    shop.wait_for_acknowledgements(ACKNOWLEDGED_BEFORE);
    let client = server.client();
    for path in KEYS.map(What::path) {
        eventually(&format!("a document at {path}"), SHOWN_BOUND, || client.get(&path).unwrap().status == 200);
    }

    let done = AtomicBool::new(false);
    let readings = thread::scope(|scope| {
        let read = |what: &'static [What]| scope.spawn(|| Reader::at(&server.client()).reads(what, &done));
        let readers = [read(&KEYS), read(&KEYS), read(&LISTS), read(&LISTS)];
        let _readers_go_home = Raised(&done);
        for _ in 0..REBUILDS {
            let before = VIEWS.map(|view| build(&client, view));
            VIEWS.into_iter().for_each(|view| rebuild(&client, view));
            VIEWS.into_iter().zip(before).for_each(|(view, before)| wait_until_rebuilt(&client, view, before));
        }
        done.store(true, Ordering::SeqCst);
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    drop(shop.close());

    expect_true(readings, &Log::read(&server.client()));
    eventually("the end of all old builds", DROP_BOUND, || place.tables(&server).len() == VIEWS.len());
    for view in VIEWS {
        let table = format!("view_{}_{}", view.replace('-', "_"), build(&server.client(), view));
        assert!(place.tables(&server).contains(&table), "{table} is not among {:?}", place.tables(&server));
    }
}

/// Sets a flag when it is dropped, also when the test fails.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Each reading equals the fold of the events up to its position: no less, no more, and never a mix of two builds.
#[track_caller]
fn expect_true(mut readings: Vec<Reading>, log: &Log) {
    readings.sort_by_key(|reading| reading.shown.at);
    let mut fold = Fold::new();
    for Reading { what, shown } in &readings {
        fold.advance(log, shown.at);
        let (what, expected) = match what {
            What::Document(view, key) => {
                let kept = fold.document(view, key).map(|kept| ((*key).to_owned(), kept));
                (format!("{view}/{key}"), kept.into_iter().collect())
            }
            What::List(view, limit) => ((*view).to_owned(), fold.first(view, *limit)),
        };
        let expected: BTreeMap<String, ViewDocument> = expected;
        assert_eq!(shown.documents, expected, "{what} at position {}", shown.at);
        assert_eq!(shown.repeated, [""; 0], "{what} at position {}", shown.at);
    }
    println!("{} readings, and a log of {} events", readings.len(), log.head());
}

/// The request of a reader.
#[derive(Clone, Copy)]
enum What {
    /// A document by its key.
    Document(&'static str, &'static str),
    /// The first documents by key.
    List(&'static str, usize),
}

impl What {
    fn path(self) -> String {
        match self {
            Self::Document(view, key) => format!("/v1/views/{view}/{key}"),
            Self::List(view, limit) => format!("/v1/views/{view}?limit={limit}"),
        }
    }
}

const KEYS: [What; 5] = [
    What::Document("inventory", "sku-1"),
    What::Document("orders", "shop-1-1"),
    What::Document("customer-totals", "c-1"),
    What::Document("inventory", "sku-7"),
    What::Document("customer-totals", "c-3"),
];

const LISTS: [What; 4] = [
    What::List("inventory", PAGE),
    What::List("customer-totals", PAGE),
    What::List("orders", PAGE),
    What::List("daily-sales", PAGE),
];

/// The content and position of an answer.
struct Reading {
    what: What,
    shown: ServedView,
}

/// A reader that reads again and again, and remembers the position of each view.
struct Reader {
    client: Client,
    seen: BTreeMap<&'static str, u64>,
}

impl Reader {
    fn at(client: &Client) -> Self {
        Self { client: client.clone(), seen: BTreeMap::new() }
    }

    fn reads(mut self, all: &[What], done: &AtomicBool) -> Vec<Reading> {
        let mut readings = Vec::new();
        while !done.load(Ordering::SeqCst) {
            for what in all {
                readings.push(Reading { what: *what, shown: self.read(*what) });
                thread::sleep(PAUSE);
            }
        }
        readings
    }

    fn read(&mut self, what: What) -> ServedView {
        let mut shown = ServedView::default();
        let answer = self.get(&what.path());
        let view = match what {
            What::Document(view, key) => {
                shown.at = answer.position().expect("an answer says its position");
                let mut found = answer.json();
                assert_eq!(found["key"], key);
                let position = found["position"].as_u64().expect("a document has a position");
                shown.documents.insert(key.to_owned(), ViewDocument { document: found["document"].take(), position });
                view
            }
            What::List(view, _) => {
                shown.add(answer.json()).expect("a list is a page");
                view
            }
        };
        let before = self.seen.insert(view, shown.at).unwrap_or_default();
        assert!(shown.at >= before, "{view} was at {before} and is at {}", shown.at);
        shown
    }

    /// No gap and no error: everything that is read existed before the first rebuild.
    fn get(&self, path: &str) -> Answer {
        let answer = self.client.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer}");
        answer
    }
}
