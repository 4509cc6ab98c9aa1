//! A new build is made beside the one that is served, and readers see no difference.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dormouse_faults::Dice;
use dormouse_journal::Journal;
use dormouse_kernel::Position;
use dormouse_projections::store::{BuildNumber, Sqlite};
use dormouse_projections::{
    ControlError, Definition, Document, Event, Fields, Key, Keys, Options, Progress, Project, Projection, Projections,
    Sources, State, ViewStore,
};

use crate::bank::{Account, Balance, Balances, Everything, everything};
use crate::exactly_once::{Process, assert_all_is_right, sqlite, trade};
use crate::faulty::{Call, Fault, Faulty};
use crate::world::{
    PATIENCE, Teller, all, assert_balances, batches_of, becomes, caught_up, get, head, journal, memory, options, run,
};

/// The next version of [`Everything`]: it counts each event twice.
struct EverythingTwice;

impl Projection for EverythingTwice {
    const NAME: &'static str = Everything::NAME;
    const VERSION: u32 = 2;
    type Document = Balance;

    fn fields() -> Fields {
        Fields::none().integer("movements")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Account>()
    }
}

impl Project<Account> for EverythingTwice {
    fn keys(_: &Event<'_, Account>) -> Keys {
        Keys::one("all")
    }

    fn project(current: Option<Balance>, _: &Event<'_, Account>, _: &Key) -> Option<Balance> {
        let mut all = current.unwrap_or_default();
        all.movements += 2;
        Some(all)
    }
}

async fn run_twice(journal: &Journal, store: Arc<dyn ViewStore>, options: Options) -> Projections {
    Projections::builder(journal.clone(), store, options).projection::<EverythingTwice>().start().await.unwrap()
}

fn progress_of(projections: &Projections, name: &str) -> Progress {
    projections.progress().into_iter().find(|progress| progress.name == name).unwrap()
}

/// Waits until another build than `before` is served, and no new one is made beside it.
async fn replaced(projections: &Projections, name: &str, before: Option<BuildNumber>) -> Progress {
    let mut progress = projections.reader(name).unwrap().progress();
    let is_so = |progress: &Progress| {
        progress.build != before && progress.rebuild.is_none() && progress.state == State::Running
    };
    tokio::time::timeout(PATIENCE, progress.wait_for(is_so)).await.expect("it is served in time").unwrap().clone()
}

/// Reads the view of [`Everything`]. Each answer must have all events up to its position, and the position must not go
/// back behind what was seen or waited for.
async fn read_without_pause(projections: Projections, is_over: Arc<AtomicBool>, reads: Arc<AtomicU64>) {
    let view = projections.view::<Everything>().unwrap();
    let mut seen = Position::ZERO;
    while !is_over.load(Ordering::Acquire) {
        let promised = view.progress().borrow().position;
        let answer = view.get(&Key::from("all")).await.unwrap();
        assert!(answer.at >= seen && answer.at >= promised, "{} {seen} {promised}", answer.at);
        seen = answer.at;
        let found = answer.document.map_or_else(Balance::default, |document| document.content);
        assert_eq!(found, everything(answer.at.0), "a mixture, or a gap");
        reads.fetch_add(1, Ordering::Relaxed);
    }
}

/// Checks that the watermark never goes back.
async fn watch_the_watermark(projections: Projections, is_over: Arc<AtomicBool>) {
    let mut progress = projections.view::<Everything>().unwrap().progress();
    let mut last = Position::ZERO;
    while !is_over.load(Ordering::Acquire) {
        let Ok(_) = tokio::time::timeout(Duration::from_millis(10), progress.changed()).await else { continue };
        let now = progress.borrow_and_update().position;
        assert!(now >= last, "the watermark went from {last} to {now}");
        last = now;
    }
}

async fn readers_notice_nothing(store: Arc<dyn ViewStore>) {
    let journal = journal().await;
    let (mut teller, is_over) = (Teller::new(&journal), Arc::new(AtomicBool::new(false)));
    for number in 0..2000 {
        teller.deposit(&(number % 7).to_string(), 1).await;
    }
    let projections = run(&journal, store, batches_of(50)).await;
    caught_up(&projections, &journal).await;
    let writer = tokio::spawn({
        let (is_over, view) = (Arc::clone(&is_over), projections.view::<Everything>().unwrap());
        async move {
            while !is_over.load(Ordering::Acquire) {
                let mut last = Position::ZERO;
                for _ in 0..10 {
                    last = teller.deposit("a", 1).await;
                }
                // No more than the served build can follow: two workers share the store.
                view.wait_for(last, PATIENCE).await.unwrap();
            }
        }
    });
    let mut watchers = vec![tokio::spawn(watch_the_watermark(projections.clone(), Arc::clone(&is_over)))];
    let reads = [const { AtomicU64::new(0) }; 2].map(Arc::new);
    for reads in &reads {
        let reading = read_without_pause(projections.clone(), Arc::clone(&is_over), Arc::clone(reads));
        watchers.push(tokio::spawn(reading));
    }
    // At least four, and until both readers have met some: a rebuild in memory takes a few milliseconds.
    let mut rebuilds = 0;
    while rebuilds < 4 || reads.iter().any(|reads| reads.load(Ordering::Relaxed) <= 10) {
        rebuilds += 1;
        assert!(rebuilds < 1000, "the readers read nothing");
        let before = progress_of(&projections, "everything").build;
        projections.rebuild("everything", false).await.unwrap();
        let after = replaced(&projections, "everything", before).await;
        assert!(after.build > before);
    }
    is_over.store(true, Ordering::Release);
    writer.await.unwrap();
    for watcher in watchers {
        watcher.await.unwrap();
    }
    assert_all_is_right(&projections, &journal).await;
    let progress = progress_of(&projections, "everything");
    assert_eq!((progress.state, progress.rebuild), (State::Running, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_notice_nothing_of_a_rebuild_under_load_in_memory() {
    readers_notice_nothing(memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_notice_nothing_of_a_rebuild_under_load_in_sqlite_and_then_the_old_build_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::open(directory.path(), 3).await.unwrap());
    readers_notice_nothing(Arc::clone(&store) as _).await;
    let definition = Definition::of::<Everything>().unwrap();
    let builds = store.prepare(&definition).await.unwrap();
    let served = builds.serving.unwrap().number;
    assert_eq!(builds.next, None);
    for number in 0..served.0 {
        let name = BuildNumber(number);
        let is_of_balances = store.prepare(&Definition::of::<Balances>().unwrap()).await.unwrap();
        if is_of_balances.serving.unwrap().number != name {
            assert!(
                store.load(&definition, name, &[Key::from("all")], usize::MAX).await.is_err(),
                "{number} is still there"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_always_one_batch_behind_takes_over_nevertheless() {
    let journal = journal().await;
    let (mut teller, is_over) = (Teller::new(&journal), Arc::new(AtomicBool::new(false)));
    let store = Faulty::over(memory());
    let projections = run(&journal, Arc::clone(&store) as _, options()).await;
    teller.deposit("a", 1).await;
    caught_up(&projections, &journal).await;
    let writer = tokio::spawn({
        let is_over = Arc::clone(&is_over);
        async move {
            while !is_over.load(Ordering::Acquire) {
                teller.deposit("a", 1).await;
                tokio::task::yield_now().await;
            }
        }
    });
    store.overtake(20);
    let before = progress_of(&projections, "everything").build;
    projections.rebuild("everything", false).await.unwrap();
    replaced(&projections, "everything", before).await;
    assert!(store.overtakes_left() > 10, "it was overtaken again and again: {} are left", store.overtakes_left());
    is_over.store(true, Ordering::Release);
    writer.await.unwrap();
    assert_all_is_right(&projections, &journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_of_older_code_is_served_until_the_new_version_has_caught_up() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    for _ in 0..100 {
        teller.deposit("a", 1).await;
    }
    let store = Faulty::over(memory());
    let old = run(&journal, Arc::clone(&store) as _, options()).await;
    caught_up(&old, &journal).await;
    old.stop().await;
    teller.deposit("a", 1).await;

    // The test stops the sixth small batch of the new version.
    (0..5).for_each(|_| store.inject(Call::Commit, Fault::None));
    store.inject(Call::Commit, Fault::HangsBefore);
    let projections = run_twice(&journal, Arc::clone(&store) as _, batches_of(10)).await;
    tokio::time::timeout(PATIENCE, store.hangs()).await.unwrap();
    let progress = progress_of(&projections, "everything");
    assert_eq!((progress.state, progress.version, progress.position), (State::Outdated, Some(1), Position(100)));
    let rebuild = progress.rebuild.unwrap();
    assert_eq!((rebuild.version, rebuild.from, rebuild.position), (2, Position(0), Position(50)));
    assert!(rebuild.events_per_second > 0.0 && rebuild.remaining(Position(101)).is_some());
    let reader = projections.reader("everything").unwrap();
    let found = reader.get(&Key::from("all")).await.unwrap();
    assert_eq!(found.at, Position(100));
    let found: Balance = serde_json::from_str(&found.document.unwrap().0).unwrap();
    assert_eq!(found, everything(100));
    // A reader that waits for an event that the old build lacks waits in vain for now.
    assert!(reader.wait_for(Position(101), Duration::from_millis(1)).await.is_err());
    drop(projections);

    let projections = run_twice(&journal, store, batches_of(10)).await;
    let after = replaced(&projections, "everything", None).await;
    assert_eq!(after.version, Some(2));
    let view = projections.view::<EverythingTwice>().unwrap();
    view.wait_for(Position(101), PATIENCE).await.unwrap();
    let Document { content, .. } = view.get(&Key::from("all")).await.unwrap().document.unwrap();
    assert_eq!(content.movements, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_killed_at_any_step_is_resumed_where_it_was() {
    let steps = [
        (Call::Begin, 2, Fault::HangsBefore),
        (Call::Begin, 2, Fault::HangsAfter),
        (Call::Commit, 30, Fault::HangsBefore),
        (Call::Commit, 30, Fault::HangsAfter),
        (Call::Serve, 0, Fault::HangsBefore),
        (Call::Serve, 0, Fault::HangsAfter),
    ];
    for (call, calls_before, fault) in steps {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal().await;
        let (mut teller, mut dice) = (Teller::new(&journal), Dice::new(calls_before));
        trade(&mut teller, &mut dice, 100).await;
        let store = Faulty::over(sqlite(directory.path()).await);
        let process = Process::start();
        let projections = process.projects(&journal, Arc::clone(&store) as _, batches_of(7)).await;
        caught_up(&projections, &journal).await;
        // Both projections have begun and are caught up, so that only the rebuild commits from here on.
        let before = if call == Call::Begin { 0 } else { calls_before.min(12) };
        (0..before).for_each(|_| store.inject(call, Fault::None));
        store.inject(call, fault);
        let asked = tokio::spawn({
            let projections = projections.clone();
            async move { projections.rebuild("balances", false).await }
        });
        tokio::time::timeout(PATIENCE, store.hangs()).await.expect("it reaches that step");
        let position = progress_of(&projections, "balances").rebuild.map(|rebuild| rebuild.position);
        process.dies();
        asked.abort();
        drop(projections);

        trade(&mut teller, &mut dice, 20).await;
        let store = sqlite(directory.path()).await;
        let definition = Definition::of::<Balances>().unwrap();
        let left = store.prepare(&definition).await.unwrap().next;
        if call == Call::Commit {
            assert!(left.unwrap().offset.position >= position.unwrap() && position.unwrap() > Position(0));
        }
        let projections = run(&journal, Arc::clone(&store), batches_of(7)).await;
        if let Some(left) = left {
            let view = projections.view::<Balances>().unwrap();
            let took_over = becomes(&view, |progress| progress.build == Some(left.number)).await;
            assert!(took_over.position >= left.offset.position);
        }
        assert_all_is_right(&projections, &journal).await;
        assert_eq!(store.prepare(&definition).await.unwrap().next, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_build_of_another_version_is_begun_again() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    for _ in 0..30 {
        teller.deposit("a", 1).await;
    }
    let store = Faulty::over(memory());
    let old = run(&journal, Arc::clone(&store) as _, options()).await;
    caught_up(&old, &journal).await;
    old.stop().await;
    store.inject(Call::Commit, Fault::None);
    store.inject(Call::Commit, Fault::HangsBefore);
    let unfinished = run_twice(&journal, Arc::clone(&store) as _, batches_of(5)).await;
    tokio::time::timeout(PATIENCE, store.hangs()).await.unwrap();
    drop(unfinished);
    // Back to the old code, which made the old view.
    let projections = run(&journal, Arc::clone(&store) as _, options()).await;
    teller.deposit("a", 1).await;
    assert_all_is_right(&projections, &journal).await;
    let definition = Definition::of::<Everything>().unwrap();
    assert_eq!(store.prepare(&definition).await.unwrap().next, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_running_says_so_and_can_be_started_over() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    for _ in 0..30 {
        teller.deposit("a", 1).await;
    }
    let store = Faulty::over(memory());
    let projections = run(&journal, Arc::clone(&store) as _, batches_of(10)).await;
    caught_up(&projections, &journal).await;
    projections.pause("balances").await.unwrap();
    projections.rebuild("balances", false).await.unwrap();
    let view = projections.view::<Balances>().unwrap();
    let first = becomes(&view, |progress| progress.rebuild.is_some()).await;
    assert_eq!(first.state, State::Paused);
    let refused = projections.rebuild("balances", false).await.unwrap_err();
    assert_eq!(refused, ControlError::Underway { position: Position(0) });
    projections.rebuild("balances", true).await.unwrap();
    let build = |progress: &Progress| progress.rebuild.as_ref().map(|rebuild| rebuild.build);
    becomes(&view, |progress| build(progress) > build(&first)).await;
    projections.resume("balances").await.unwrap();
    replaced(&projections, "balances", first.build).await;
    assert_all_is_right(&projections, &journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_and_loses_responses_harms_no_rebuild() {
    for seed in 0..10 {
        let journal = journal().await;
        let (mut teller, mut dice) = (Teller::new(&journal), Dice::new(seed));
        let store = Faulty::over(memory());
        let projections = run(&journal, Arc::clone(&store) as _, batches_of(1 + dice.below(20) as usize)).await;
        caught_up(&projections, &journal).await;
        store.fail_at_random(Some(Dice::new(seed)));
        for request in 0..6 {
            trade(&mut teller, &mut dice, 30).await;
            let name = ["balances", "everything"][request % 2];
            // Its response may be lost although the rebuild has begun, or a rebuild may be running already.
            let _asked = projections.rebuild(name, dice.below(2) == 0).await;
        }
        trade(&mut teller, &mut dice, 30).await;
        assert_all_is_right(&projections, &journal).await;
        store.fail_at_random(None);
        // A running rebuild is finished.
        for name in ["balances", "everything"] {
            let mut progress = projections.reader(name).unwrap().progress();
            let is_done = |progress: &Progress| progress.rebuild.is_none() && progress.state == State::Running;
            tokio::time::timeout(PATIENCE, progress.wait_for(is_done)).await.expect("it ends").unwrap();
        }
        assert_all_is_right(&projections, &journal).await;
        projections.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_repairs_a_view_whose_documents_cannot_be_read() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.deposit("a", 1).await;
    let store = memory();
    crate::supervision::spoil(&store, &journal).await;
    teller.deposit("a", 1).await;
    let projections = run(&journal, store, options()).await;
    let view = projections.view::<Balances>().unwrap();
    becomes(&view, |progress| matches!(progress.state, State::Stopped(_))).await;
    projections.rebuild("balances", false).await.unwrap();
    caught_up_again(&projections, &journal).await;
    assert_balances(&projections, &journal).await;
    assert_eq!(get(&view, "a").await.document.unwrap().content.amount, 2);
    assert_eq!(all(&projections).await.document.unwrap().content, everything(2));
}

/// The same as [`caught_up`] for a projection that was stopped.
async fn caught_up_again(projections: &Projections, journal: &Journal) {
    let head = head(journal).await;
    let view = projections.view::<Balances>().unwrap();
    becomes(&view, |progress| progress.position >= head && progress.state == State::Running).await;
}
