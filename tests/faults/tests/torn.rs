//! The machine goes down during a commit. A journal that is opened on the rest is consistent, or reports the damage.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

#[path = "torn/tally.rs"]
mod tally;
#[path = "torn/world.rs"]
mod world;

use dormouse_engine::{CommandError, QueryError};
use dormouse_faults::Tear;
use dormouse_journal::{PageLimit, ReadError};
use dormouse_kernel::{Position, Version};

use world::{Node, Wreck};

#[tokio::test(start_paused = true)]
async fn a_crash_that_leaves_all_or_nothing_or_whole_commands_leaves_a_journal_to_go_on_with() {
    for (tear, whole) in [(Tear::Nothing, 0), (Tear::Everything, 3), (Tear::Appends(1), 1), (Tear::Appends(2), 2)] {
        let node = Wreck::of(tear).await.reopen().await;
        assert_eq!(node.commands_in_log().await, 2 + whole, "{tear:?}");
        for (number, id) in ["a", "b", "c"].into_iter().enumerate() {
            let before = if number == 0 { 1 } else { 0 };
            let there = if number < whole { 3 } else { 0 };
            let version = node.add(id, 3).await.unwrap();
            assert_eq!(version, Version(before + there + 3), "{id} after {tear:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_client_gets_success_for_a_torn_commit() {
    for tear in [Tear::Nothing, Tear::Everything, Tear::Appends(1), Tear::HalfAnAppend { after: 0 }, Tear::Hole(0)] {
        let wreck = Wreck::of(tear).await;
        for answer in wreck.answers {
            assert!(matches!(answer, Err(CommandError::OutcomeUnknown)), "{tear:?}: {answer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_command_is_never_loaded() {
    for (after, id) in [(0, "a"), (1, "b"), (2, "c")] {
        let node = Wreck::of(Tear::HalfAnAppend { after }).await.reopen().await;
        let refused = node.add(id, 1).await.unwrap_err();
        assert!(matches!(refused, CommandError::Quarantined { .. }), "{id}: {refused:?}");
        let unreadable = node.read(id).await.unwrap_err();
        assert!(matches!(unreadable, QueryError::Quarantined { .. } | QueryError::Unreadable(_)), "{unreadable:?}");
        let repeated = node.repeat(id).await.unwrap_err();
        assert!(matches!(repeated, CommandError::Quarantined { .. }), "{repeated:?}");
        assert!(node.outcome(id).await.is_err(), "half an outcome is none");
        node.add("another", 1).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_command_behind_a_snapshot_is_never_loaded() {
    let node = Wreck::snapshotted(Tear::HalfAnAppend { after: 0 }).await.reopen().await;
    let refused = node.add("a", 1).await.unwrap_err();
    assert!(matches!(refused, CommandError::Quarantined { .. }), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_the_log_is_found_by_each_read_of_it() {
    for lost in [0, 1] {
        let node = Wreck::of(Tear::Hole(lost)).await.reopen().await;
        let refused = node.journal.read_log(Position::ZERO, PageLimit::events(100)).await.unwrap_err();
        assert!(matches!(refused, ReadError::Damaged { .. }), "{refused:?}");
        // Also if the page ends or begins right at the hole.
        let before = Position(2 + 3 * lost as u64);
        let refused = node.journal.read_log(before, PageLimit::ONE).await.unwrap_err();
        assert!(matches!(refused, ReadError::Damaged { .. }), "{refused:?}");
        assert_eq!(
            node.journal.read_log(Position::ZERO, PageLimit::events(before.0 as usize)).await.unwrap().len() as u64,
            before.0
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_an_aggregate_is_found_when_it_is_loaded() {
    let node: Node = Wreck::of_one_aggregate(Tear::Hole(1)).await.reopen().await;
    let refused = node.add("a", 1).await.unwrap_err();
    assert!(matches!(refused, CommandError::Quarantined { .. }), "{refused:?}");
}
