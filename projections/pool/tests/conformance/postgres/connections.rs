//! Lost connections: commits with an unknown outcome, late commits, and reads.

use dormouse_harness::{Cut, Fault, Moment, Postgres as Server, Proxy};
use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, CommitError, DocumentAt, Error, Offset};

use super::{open, query};
use crate::support::{begun, first, key, loaded, offset, row, served, step};

/// A part of the statement that commits, and of no other statement.
const COMMIT: &str = "INSERT INTO view_first_1";

#[tokio::test(flavor = "multi_thread")]
async fn prepare_shows_whether_a_commit_that_was_cut_off_happened() {
    let view = first();
    let proxy = Proxy::before(&Server::shared().create_database());
    let store = open(proxy.url()).await;
    let build = begun(&store, &view).await;
    let mut at = 0;
    for moment in [Moment::BeforeRequest, Moment::BeforeCommit, Moment::BeforeAnswer] {
        for cut in [Cut::Fin, Cut::Reset] {
            proxy.strike(COMMIT, moment, Fault::Cut(cut));
            let advance = || Advance { rows: vec![row("a", &(at + 1).to_string(), at + 1)], ..step(at, at + 1) };
            let lost = store.commit(&view, build, advance()).await.unwrap_err();
            assert!(matches!(lost, CommitError::Failed(Error::Unavailable(_))), "{lost}");
            assert!(proxy.has_struck());
            let happened = moment == Moment::BeforeAnswer;
            if !happened {
                // Until the server has rolled the transaction back, the row is locked, and the next commit waits.
                assert_eq!(served(&store, &view).await, (build, offset_or_start(at)));
                store.commit(&view, build, advance()).await.unwrap();
            }
            at += 1;
            assert_eq!(served(&store, &view).await, (build, offset(at)));
            let found = store.get(&view, &key("a")).await.unwrap();
            assert_eq!(found, DocumentAt { document: Some((at.to_string().into(), Position(at))), at: Position(at) });
        }
    }
}

fn offset_or_start(at: u64) -> Offset {
    if at == 0 { Offset::START } else { offset(at) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_changes_nothing_after_another_commit() {
    let view = first();
    let url = Server::shared().create_database();
    let proxy = Proxy::before(&url);
    let (late, other) = (open(proxy.url()).await, open(&url).await);
    let build = begun(&other, &view).await;
    proxy.strike(COMMIT, Moment::BeforeRequest, Fault::Hold);
    let held = tokio::spawn({
        let view = view.clone();
        async move { late.commit(&view, build, Advance { rows: vec![row("a", "0", 1)], ..step(0, 1) }).await }
    });
    while !proxy.has_struck() {
        tokio::task::yield_now().await;
    }
    other.commit(&view, build, Advance { rows: vec![row("a", "1", 2)], ..step(0, 2) }).await.unwrap();
    proxy.restore();
    let refused = held.await.unwrap().unwrap_err();
    assert_eq!(refused, CommitError::Moved { expected: Position(0), found: Some(Position(2)) });
    let found = other.get(&view, &key("a")).await.unwrap();
    assert_eq!(found, DocumentAt { document: Some(("1".into(), Position(2))), at: Position(2) });
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_notice_that_their_connections_were_closed() {
    const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'dormouse views%'";

    let url = Server::shared().create_database();
    let (store, view) = (open(&url).await, first());
    let build = begun(&store, &view).await;
    for _ in 0..5 {
        store.get(&view, &key("a")).await.unwrap();
        loaded(&*store, &view, build, &[key("a")]).await.unwrap();
        assert_ne!(query(&url, TERMINATE), "0");
        store.get(&view, &key("a")).await.unwrap();
        loaded(&*store, &view, build, &[key("a")]).await.unwrap();
    }
}
