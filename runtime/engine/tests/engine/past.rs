//! Reads of the past.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::QueryError;
use dormouse_journal::{AsOf, PageLimit};
use dormouse_kernel::{Clock, ManualClock, Timestamp, Version};

use crate::world::{World, config, eventually, every, id};

const SEVENTY_YEARS: u64 = 70 * 365 * 24 * 3600;

fn midnight() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// Ten events, one a second, the first at midnight: event `n` adds `n`.
async fn ten_events(world: &World, clock: &ManualClock) {
    for number in 1..=10 {
        world.add("a", number).await;
        clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_state_as_of_a_version_or_a_time_is_the_one_there_was() {
    for config in [config(), every(3, config())] {
        let clock = Arc::new(ManualClock::at(midnight()));
        let world = World::at(Arc::clone(&clock) as Arc<dyn Clock>, config).await;
        ten_events(&world, &clock).await;
        for version in 1..=10_u64 {
            let total = (version * (version + 1) / 2) as i64;
            let then = world.counters.state_as_of(&id("a"), AsOf::Version(Version(version))).await.unwrap();
            assert_eq!((then.state.total, then.version), (total, Version(version)));
            let between = midnight() + Duration::from_millis(version * 1000 - 500);
            assert_eq!(world.counters.state_as_of(&id("a"), AsOf::Time(between)).await.unwrap(), then);
            let exactly = midnight() + Duration::from_secs(version - 1);
            assert_eq!(world.counters.state_as_of(&id("a"), AsOf::Time(exactly)).await.unwrap(), then);
        }
        assert_eq!(world.counters.state_as_of(&id("a"), AsOf::Now).await.unwrap().state.total, 55);
    }
}

#[tokio::test]
async fn a_snapshot_shortens_the_replay_of_a_past_state() {
    let clock = Arc::new(ManualClock::at(midnight()));
    let world = World::at(Arc::clone(&clock) as Arc<dyn Clock>, every(3, config())).await;
    ten_events(&world, &clock).await;
    eventually("snapshots", || world.store.snapshots("a") == [3, 6, 9]).await;
    world.store.forget_reads();
    world.counters.state_as_of(&id("a"), AsOf::Version(Version(8))).await.unwrap();
    // The event at the snapshot is read again, to check that the snapshot belongs to this history.
    assert_eq!(world.store.reads().iter().map(|read| read.after.0).collect::<Vec<_>>(), [5]);
}

#[tokio::test]
async fn there_is_no_state_before_the_first_event_nor_after_the_last() {
    let clock = Arc::new(ManualClock::at(midnight()));
    let world = World::at(Arc::clone(&clock) as Arc<dyn Clock>, config()).await;
    ten_events(&world, &clock).await;
    let read = async |of: &str, as_of| world.counters.state_as_of(&id(of), as_of).await.unwrap_err();
    assert_eq!(read("a", AsOf::Time(midnight() - Duration::from_secs(1))).await, QueryError::NotFound);
    let later = read("a", AsOf::Version(Version(11))).await;
    assert_eq!(later, QueryError::NoSuchVersion { actual: Version(10) });
    assert_eq!(read("b", AsOf::Version(Version(1))).await, QueryError::NotFound);
    assert_eq!(world.read("b").await.unwrap_err(), QueryError::NotFound);
}

#[tokio::test]
async fn time_does_not_run_backwards_within_an_aggregate() {
    let world = World::at(Arc::new(ManualClock::at(midnight())), config()).await;
    world.add("a", 1).await;
    let earlier = ManualClock::at(midnight() - Duration::from_secs(60));
    assert!(world.drain().await.complete);
    let store = Arc::clone(&world.store);
    let journal = dormouse_journal::Journal::start(store, dormouse_journal::Options::default()).await.unwrap();
    let builder = dormouse_engine::Engine::builder(config()).aggregate::<crate::counter::Counter>();
    let engine = builder.clock(Arc::new(earlier)).start(journal).await.unwrap();
    let counters = engine.aggregates::<crate::counter::Counter>().unwrap();
    let add = crate::counter::Command::Add { by: 1 };
    counters.execute(id("a"), add, Default::default()).await.unwrap();
    assert_eq!(counters.state(&id("a")).await.unwrap().recorded_at, midnight());
}

#[tokio::test]
async fn the_present_state_has_an_event_of_a_clock_that_was_ahead() {
    let ahead = Arc::new(ManualClock::at(midnight() + Duration::from_secs(SEVENTY_YEARS)));
    let world = World::at(ahead as Arc<dyn Clock>, config()).await;
    world.add("a", 1).await;
    assert!(world.drain().await.complete);
    let store = Arc::clone(&world.store);
    let journal = dormouse_journal::Journal::start(store, dormouse_journal::Options::default()).await.unwrap();
    let builder = dormouse_engine::Engine::builder(config()).aggregate::<crate::counter::Counter>();
    let engine = builder.clock(Arc::new(ManualClock::at(midnight()))).start(journal).await.unwrap();
    let counters = engine.aggregates::<crate::counter::Counter>().unwrap();
    for asked in [midnight(), midnight() - Duration::from_secs(30)] {
        assert_eq!(counters.state_as_of(&id("a"), AsOf::Time(asked)).await.unwrap().state.total, 1);
    }
    let long_ago = AsOf::Time(midnight() - Duration::from_secs(3600));
    assert_eq!(counters.state_as_of(&id("a"), long_ago).await.unwrap_err(), QueryError::NotFound);
}

#[tokio::test]
async fn after_an_hour_of_a_wrong_clock_time_goes_on_from_the_right_one() {
    // With snapshots after that hour, and without snapshots.
    for config in [every(3, config()), every(1000, config())] {
        let clock = Arc::new(ManualClock::at(midnight()));
        let world = World::at(Arc::clone(&clock) as Arc<dyn Clock>, config).await;
        world.add("a", 1).await;
        clock.advance(Duration::from_secs(SEVENTY_YEARS));
        for by in 2..=5 {
            world.add("a", by).await;
        }
        clock.rewind(Duration::from_secs(SEVENTY_YEARS));
        let total = async |seconds| {
            let asked = midnight() + Duration::from_secs(seconds);
            world.counters.state_as_of(&id("a"), AsOf::Time(asked)).await.map(|then| (then.state.total, then.version.0))
        };
        for by in 6..=10 {
            clock.advance(Duration::from_secs(100));
            world.add("a", by).await;
        }
        // The first five events are from the time before and from the wrong clock.
        for (seconds, expected) in
            [(0, (1, 1)), (99, (1, 1)), (100, (21, 6)), (250, (28, 7)), (400, (45, 9)), (500, (55, 10))]
        {
            assert_eq!(total(seconds).await, Ok(expected), "{seconds} s after midnight");
        }
        assert_eq!(world.counters.state(&id("a")).await.unwrap().recorded_at, midnight() + Duration::from_secs(500));
    }
}

#[tokio::test]
async fn a_clock_behind_the_newest_event_is_reported_until_it_has_passed_it() {
    let world = World::at(Arc::new(ManualClock::at(midnight())), config()).await;
    world.add("a", 1).await;
    assert_eq!(world.engine.clock_behind(), None);
    assert!(world.drain().await.complete);
    let store = Arc::clone(&world.store);
    let journal = dormouse_journal::Journal::start(store, dormouse_journal::Options::default()).await.unwrap();
    let behind = Arc::new(ManualClock::at(midnight() - Duration::from_secs(3600)));
    let builder = dormouse_engine::Engine::builder(config()).aggregate::<crate::counter::Counter>();
    let engine = builder.clock(Arc::clone(&behind) as Arc<dyn Clock>).start(journal).await.unwrap();
    assert_eq!(engine.clock_behind(), Some(Duration::from_secs(3600)));
    behind.advance(Duration::from_secs(3595));
    assert_eq!(engine.clock_behind(), None, "clocks may differ by some seconds");
}

#[tokio::test]
async fn a_history_comes_in_pages() {
    let world = World::new(config()).await;
    for number in 1..=5 {
        world.add("a", number).await;
    }
    let page = world.counters.history(&id("a"), Version(2), PageLimit::events(2)).await.unwrap();
    assert_eq!(page.iter().map(|event| event.version.0).collect::<Vec<_>>(), [3, 4]);
    assert!(world.counters.history(&id("a"), Version(5), PageLimit::events(2)).await.unwrap().is_empty());
}
