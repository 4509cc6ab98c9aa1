//! Snapshots: when they are taken, and when they are ignored.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use dormouse_config::SnapshotStrategy;
use dormouse_engine::{Engine, SnapshotVerification};
use dormouse_faults::Fault;
use dormouse_journal::{AsOf, Journal, Options, Snapshot, Store};
use dormouse_kernel::{Aggregate, Chain, Context, Version};
use serde::{Deserialize, Serialize};

use crate::counter::{Command, Event};
use crate::world::{World, config, eventually, every, forgetful, id, sent, soon, still_waits};

async fn add_times(world: &World, times: u64) {
    for _ in 0..times {
        world.add("a", 1).await;
    }
}

#[tokio::test]
async fn the_strategy_never_takes_no_snapshot() {
    let world = World::new(forgetful()).await;
    add_times(&world, 100).await;
    world.all_asleep().await;
    assert!(world.drain().await.complete);
    assert_eq!(world.store.snapshotted(), 0);
}

#[tokio::test]
async fn every_n_takes_one_after_n_events_and_one_when_the_aggregate_falls_asleep() {
    let world = World::new(every(10, config())).await;
    add_times(&world, 25).await;
    eventually("two snapshots", || world.store.snapshots("a") == [10, 20]).await;
    assert!(world.drain().await.complete);
    assert_eq!(world.store.snapshots("a"), [10, 20, 25]);
}

#[tokio::test]
async fn a_state_that_hardly_changed_since_the_last_one_is_not_snapshotted_when_it_falls_asleep() {
    let world = World::new(every(10, config())).await;
    add_times(&world, 21).await;
    assert!(world.drain().await.complete);
    assert_eq!(world.store.snapshots("a"), [10, 20]);
}

#[tokio::test]
async fn the_events_since_the_last_snapshot_are_counted_across_sleeps() {
    for config in [forgetful(), crate::world::sleepy()] {
        let world = World::new(every(50, config)).await;
        for _ in 0..12 {
            add_times(&world, 1).await;
            world.all_asleep().await;
        }
        // A fifth of fifty events is enough when the aggregate falls asleep.
        eventually("one snapshot", || world.store.snapshotted() > 0).await;
        assert_eq!(world.store.snapshots("a"), [10]);
    }
}

#[tokio::test]
async fn adaptive_takes_one_when_replay_costs_more_than_its_budget() {
    for (budget, taken) in [(Duration::ZERO, true), (Duration::from_secs(3600), false)] {
        let mut config = every(10, config());
        config.snapshots.strategy = SnapshotStrategy::Adaptive;
        config.snapshots.replay_budget = budget;
        let world = World::new(config).await;
        add_times(&world, 10).await;
        assert!(world.drain().await.complete);
        assert_eq!(!world.store.snapshots("a").is_empty(), taken);
    }
}

#[tokio::test]
async fn no_snapshot_is_ahead_of_the_journal() {
    let world = World::new(every(1, config())).await;
    let held = world.store.hold_commits();
    let mut adding = Box::pin(world.execute("a", Command::Add { by: 1 }));
    sent(&mut adding).await;
    soon(world.store.commit_arrives()).await;
    still_waits(&mut adding).await;
    assert_eq!(world.store.snapshotted(), 0);
    world.store.script([Fault::Refused]);
    drop(held);
    soon(adding).await.unwrap_err();
    world.drain().await;
    assert_eq!(world.store.snapshotted(), 0, "a failed append was snapshotted");
    assert!(world.store.violations().is_empty());
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_used_is_ignored_and_replay_decides() {
    type Tamper = fn(&mut Snapshot);
    let tampers: [(&str, Tamper); 5] = [
        ("another version of the state", |snapshot| snapshot.snapshot_version = 99),
        ("bytes that do not decode", |snapshot| snapshot.body = vec![0xc1]),
        ("no bytes", |snapshot| snapshot.body.clear()),
        ("another history", |snapshot| snapshot.chain = Chain([1; 16])),
        ("a future that never came", |snapshot| snapshot.version = Version(1000)),
    ];
    for (what, tamper) in tampers {
        let world = World::new(every(5, config())).await;
        add_times(&world, 7).await;
        let world = world.restart(config()).await;
        world.store.tamper_with_snapshots(tamper);
        assert_eq!(soon(world.state("a")).await, (7, 7), "{what}");
        assert_eq!(soon(world.add("a", 1)).await.version, Version(8), "{what}");
        let past = world.counters.state_as_of(&id("a"), AsOf::Version(Version(6))).await.unwrap();
        assert_eq!(past.state.total, 6, "{what}");
    }
}

/// The counter in later code: its field has another name, and it counts its additions.
#[derive(Clone, Default, Serialize, Deserialize)]
struct LaterCounter {
    #[serde(default)]
    sum: i64,
    #[serde(default)]
    additions: u64,
}

impl Aggregate for LaterCounter {
    const TYPE: &'static str = "counter";
    type Command = Command;
    type Event = Event;
    type Reply = ();
    type Rejection = Infallible;

    fn decide(&self, _command: Command, _context: &mut Context<Self>) -> Result<(), Infallible> {
        Ok(())
    }

    fn evolve(&mut self, event: &Event) {
        if let Event::Added { by } = event {
            self.sum += by;
            self.additions += 1;
        }
    }
}

#[tokio::test]
async fn a_snapshot_of_a_state_of_another_shape_is_ignored_although_it_decodes() {
    let world = World::new(every(5, config())).await;
    add_times(&world, 5).await;
    assert!(world.drain().await.complete);
    assert_eq!(world.store.snapshots("a"), [5]);

    let journal = Journal::start(world.store.clone() as Arc<dyn Store>, Options::default()).await.unwrap();
    let engine = Engine::builder(config()).aggregate::<LaterCounter>().start(journal).await.unwrap();
    let stated = engine.aggregates::<LaterCounter>().unwrap().state(&id("a")).await.unwrap();
    assert_eq!((stated.state.sum, stated.state.additions), (5, 5));
}

/// The counter in later code: the same fields, but an addition counts twice.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Doubled {
    total: i64,
}

impl Aggregate for Doubled {
    const TYPE: &'static str = "counter";
    type Command = Command;
    type Event = Event;
    type Reply = ();
    type Rejection = Infallible;

    fn decide(&self, _command: Command, context: &mut Context<Self>) -> Result<(), Infallible> {
        context.emit(Event::Added { by: 1 });
        Ok(())
    }

    fn evolve(&mut self, event: &Event) {
        if let Event::Added { by } = event {
            self.total += 2 * by;
        }
    }
}

/// A stopped world with a snapshot of each of these counters, all at version 5.
async fn snapshotted(ids: std::ops::Range<u32>) -> World {
    let world = World::new(every(5, config())).await;
    for number in ids {
        for _ in 0..5 {
            world.add(&number.to_string(), 1).await;
        }
    }
    assert!(world.drain().await.complete);
    world
}

/// Another program on the same store.
async fn later<A: Aggregate>(world: &World) -> Engine {
    let journal = Journal::start(world.store.clone() as Arc<dyn Store>, Options::default()).await.unwrap();
    Engine::builder(every(5, config())).aggregate::<A>().program(7).start(journal).await.unwrap()
}

#[tokio::test]
async fn a_snapshot_of_another_program_that_differs_from_its_events_is_found_and_none_of_its_type_is_used() {
    let world = snapshotted(0..3).await;
    let engine = later::<Doubled>(&world).await;
    let counters = engine.aggregates::<Doubled>().unwrap();
    assert_eq!(engine.residency()[0].snapshots_ignored, None);
    for number in 0..3_u32 {
        let past = counters.state_as_of(&id(&number.to_string()), AsOf::Version(Version(5))).await.unwrap();
        assert_eq!(past.state.total, 10);
        assert_eq!(counters.state(&id(&number.to_string())).await.unwrap().state.total, 10);
    }
    let reason = engine.residency()[0].snapshots_ignored.clone().unwrap();
    assert_eq!(reason, "counter/0 at version 5 differs from what its events lead to");

    // It uses a snapshot that it writes itself.
    counters.execute(id("0"), Command::Look, Default::default()).await.unwrap();
    eventually("a snapshot of its own", || world.store.snapshots("0").contains(&6)).await;
    world.store.forget_reads();
    assert_eq!(counters.state_as_of(&id("0"), AsOf::Version(Version(6))).await.unwrap().state.total, 12);
    assert_eq!(world.store.reads().iter().map(|read| read.after.0).collect::<Vec<_>>(), [5]);
}

#[tokio::test]
async fn snapshots_of_another_program_are_used_once_some_were_what_their_events_lead_to() {
    let world = snapshotted(0..18).await;
    let engine = later::<crate::counter::Counter>(&world).await;
    let counters = engine.aggregates::<crate::counter::Counter>().unwrap();
    let reads = async |number: u32| {
        world.store.forget_reads();
        assert_eq!(counters.state(&id(&number.to_string())).await.unwrap().state.total, 5);
        world.store.reads().iter().map(|read| read.after.0).collect::<Vec<_>>()
    };
    for number in 0..16 {
        assert_eq!(reads(number).await, [0, 4], "all events are read, and those after the snapshot");
    }
    assert_eq!(reads(16).await, [4]);
    assert_eq!(engine.residency()[0].snapshots_ignored, None);
}

#[tokio::test]
async fn snapshots_are_verified_on_request_whichever_program_wrote_them() {
    let world = snapshotted(0..2).await;
    let journal = Journal::start(world.store.clone() as Arc<dyn Store>, Options::default()).await.unwrap();
    let engine = Engine::builder(config()).aggregate::<Doubled>().start(journal).await.unwrap();
    let found = engine.aggregates::<Doubled>().unwrap().verify_snapshots(&id("1")).await.unwrap();
    assert_eq!(found, SnapshotVerification { compared: 1, unused: 0, differing: vec![Version(5)] });
    let nothing = engine.aggregates::<Doubled>().unwrap().verify_snapshots(&id("9")).await.unwrap();
    assert_eq!(nothing, SnapshotVerification::default());
    assert!(engine.drain(Duration::from_secs(30)).await.complete);

    let engine = later::<crate::counter::Counter>(&world).await;
    let found = engine.aggregates::<crate::counter::Counter>().unwrap().verify_snapshots(&id("1")).await.unwrap();
    assert_eq!(found, SnapshotVerification { compared: 1, unused: 0, differing: Vec::new() });
}
