//! Views do not depend on how events are divided into batches, nor on what is kept between batches.

use std::sync::Arc;

use dormouse_kernel::Position;
use dormouse_projections::store::Parked;
use dormouse_projections::{Options, View};
use proptest::prelude::*;

use crate::bank::{AccountEvent, Balances, Defect};
use crate::world::{Teller, assert_balances, batches_of, caught_up, get, head, journal, memory, options, run};

#[derive(Clone, Debug)]
enum Written {
    Event(AccountEvent),
    Gibberish,
    Elsewhere,
}

fn written() -> impl Strategy<Value = (u8, Written)> {
    // Without `CannotBeWritten`: if a later event of the batch makes the document valid again, it is never written, and
    // the poison is not noticed.
    let defect = prop_oneof![
        Just(Defect::PanicsOverKeys),
        Just(Defect::PanicsHalfWay),
        Just(Defect::HasNoKey),
        Just(Defect::HasDamagedMetadata),
    ];
    let event = prop_oneof![
        12 => (-100..100i64).prop_map(|amount| Written::Event(AccountEvent::Deposited { amount })),
        8 => (0..8u8, 0..100i64).prop_map(|(to, amount)| {
            Written::Event(AccountEvent::Transferred { to: to.to_string(), amount })
        }),
        3 => Just(Written::Event(AccountEvent::Closed {})),
        1 => defect.prop_map(|defect| Written::Event(AccountEvent::Poison { defect })),
        1 => Just(Written::Gibberish),
        1 => Just(Written::Elsewhere),
    ];
    (0..8u8, event)
}

fn keeping(cache_bytes: usize, batch: usize) -> Options {
    Options { cache_bytes, ..batches_of(batch) }
}

fn loading(load_bytes: usize, batch: usize) -> Options {
    Options { load_bytes, ..keeping(0, batch) }
}

async fn parked(view: &View<Balances>) -> Vec<Parked> {
    view.parked(Position::ZERO, usize::MAX).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn views_do_not_depend_on_batches_nor_on_the_documents_kept_between_them(
        history in prop::collection::vec(written(), 1..120),
        batch in 1..40usize,
        cache_bytes in prop_oneof![Just(0), 1..2000usize],
        load_bytes in 0..1000usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let journal = journal().await;
            let mut teller = Teller::new(&journal);
            for (id, written) in &history {
                match written {
                    Written::Event(event) => teller.write(&id.to_string(), std::slice::from_ref(event)).await,
                    Written::Gibberish => teller.write_gibberish(&id.to_string()).await,
                    Written::Elsewhere => teller.write_elsewhere().await,
                };
            }
            let mut results = Vec::new();
            let small = [keeping(0, 1), keeping(cache_bytes, batch), loading(load_bytes, batch)];
            for options in small.into_iter().chain([keeping(1 << 20, batch), options()]) {
                let projections = run(&journal, memory(), options).await;
                caught_up(&projections, &journal).await;
                assert_balances(&projections, &journal).await;
                results.push(parked(&projections.view::<Balances>().unwrap()).await);
                projections.stop().await;
            }
            assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:?}");
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_far_behind_and_a_live_one_get_the_same_documents() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let store = memory();
    let live = run(&journal, Arc::clone(&store), options()).await;
    for number in 0..3000 {
        teller.deposit(&(number % 50).to_string(), number).await;
    }
    caught_up(&live, &journal).await;
    assert_balances(&live, &journal).await;
    let late = run(&journal, memory(), batches_of(64)).await;
    caught_up(&late, &journal).await;
    assert_balances(&late, &journal).await;
    assert_eq!(head(&journal).await.0, 3000);
}

/// More events than fit into one part.
const MANY: u64 = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn views_do_not_depend_on_the_number_of_workers_and_parts() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    for number in 0..MANY {
        let (id, amount) = ((number % 7).to_string(), number as i64);
        if number == MANY / 2 {
            teller.write_gibberish("3").await;
        }
        teller.deposit(&id, amount).await;
    }
    let mut results = Vec::new();
    for (workers, parallelism) in [(1, 1), (1, 4), (5, 10)] {
        let (workers, parallelism) = (workers.try_into().unwrap(), parallelism.try_into().unwrap());
        let projections = run(&journal, memory(), Options { workers, parallelism, ..options() }).await;
        caught_up(&projections, &journal).await;
        assert_balances(&projections, &journal).await;
        let view = projections.view::<Balances>().unwrap();
        results.push((parked(&view).await, get(&view, "3").await));
        projections.stop().await;
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(results[0].0[0].position, Position(MANY / 2 + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_workers_and_parts_may_change_while_they_run() {
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    let projections = run(&journal, memory(), batches_of(3)).await;
    for number in 0..200_usize {
        let (workers, parallelism) = (number % 4 + 1, number % 3 + 1);
        projections.capacity().configure(workers.try_into().unwrap(), parallelism.try_into().unwrap());
        teller.deposit(&(number % 5).to_string(), 1).await;
    }
    caught_up(&projections, &journal).await;
    assert_balances(&projections, &journal).await;
    projections.stop().await;
}
