//! An event that cannot be projected is attempted a few times before it is parked.

use std::sync::atomic::{AtomicU32, Ordering};

use dormouse_kernel::Position;
use dormouse_projections::{Event, Key, Keys, Options, Project, Projection, Projections, Sources};

use crate::bank::{Account, Balance, Defect};
use crate::retrying::{parked, poison};
use crate::world::{PATIENCE, Teller, caught_up, journal, memory, options, run};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_tried_a_few_times_before_it_is_parked() {
    for attempts in [1, 3, 5] {
        let journal = journal().await;
        let mut teller = Teller::new(&journal);
        for defect in [Defect::PanicsHalfWay, Defect::PanicsOverKeys, Defect::CannotBeWritten] {
            let id = format!("{defect:?}");
            poison(&mut teller, &id, defect).await;
            teller.deposit(&id, 1).await;
        }
        let options = Options { poison_attempts: attempts.try_into().unwrap(), ..options() };
        let projections = run(&journal, memory(), options).await;
        caught_up(&projections, &journal).await;
        let parked = parked(&projections).await;
        let (first, behind): (Vec<_>, Vec<_>) = parked.iter().partition(|event| event.version.0 == 1);
        assert_eq!((first.len(), behind.len()), (3, 3));
        assert!(first.iter().all(|event| event.attempts == attempts && event.reason.is_some()), "{first:?}");
        assert!(behind.iter().all(|event| event.attempts == 0 && event.reason.is_none()), "{behind:?}");
    }
}

static FAILURES_LEFT: AtomicU32 = AtomicU32::new(2);

/// It panics twice, and works afterwards.
struct FailsTwice;

impl Projection for FailsTwice {
    const NAME: &'static str = "moody";
    type Document = Balance;

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Account>()
    }
}

impl Project<Account> for FailsTwice {
    fn keys(event: &Event<'_, Account>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<Balance>, event: &Event<'_, Account>, _: &Key) -> Option<Balance> {
        let mut balance = current.unwrap_or_default();
        balance.moved(0, event.position());
        if event.id().as_str() == "moody"
            && FAILURES_LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            panic!("one of the first two attempts");
        }
        Some(balance)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_fails_only_at_first_is_not_parked() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    for id in ["well", "moody", "well", "moody"] {
        teller.deposit(id, 1).await;
    }
    let builder = Projections::builder(journal.clone(), memory(), options());
    let projections = builder.projection::<FailsTwice>().start().await.unwrap();
    let view = projections.view::<FailsTwice>().unwrap();
    view.wait_for(Position(4), PATIENCE).await.unwrap();
    assert_eq!(FAILURES_LEFT.load(Ordering::SeqCst), 0);
    assert_eq!(view.parked(Position::ZERO, 10).await.unwrap(), []);
    for id in ["well", "moody"] {
        assert_eq!(view.get(&Key::from(id)).await.unwrap().document.unwrap().content.movements, 2, "{id}");
    }
}
