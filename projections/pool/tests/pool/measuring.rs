//! The metrics that operators see.

use std::time::Duration;

use dormouse_kernel::Position;
use dormouse_projections::{Options, Projections};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::bank::Balances;
use crate::world::{PATIENCE, Teller, caught_up, journal, memory, options, run};

// A single thread, so that all code uses the recorder of this test.
#[tokio::test]
async fn lag_batches_and_parked_aggregates_are_measured() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let value = |name: &str| {
        let rendered = handle.render();
        let line = rendered.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {rendered}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    teller.deposit("a", 1).await;
    teller.write_gibberish("b").await;
    let projections: Projections = run(&journal, memory(), options()).await;
    caught_up(&projections, &journal).await;
    projections.sample_metrics().await;
    assert_eq!(value("projection_lag_events{projection=\"balances\"}"), 0.0);
    assert_eq!(value("event_processing_lag_seconds{projection=\"balances\"}"), 0.0);
    assert_eq!(value("projection_parked_aggregates{projection=\"balances\"}"), 1.0);
    assert_eq!(value("projection_events_total{projection=\"balances\",build=\"served\"}"), 2.0);
    assert!(value("projection_batch_events_sum{projection=\"balances\",build=\"served\"}") == 2.0);
    assert!(value("projection_batch_seconds_count{projection=\"balances\",build=\"served\"}") >= 1.0);

    projections.pause("balances").await.unwrap();
    for _ in 0..3 {
        teller.deposit("a", 1).await;
    }
    projections.sample_metrics().await;
    assert_eq!(value("projection_lag_events{projection=\"balances\"}"), 3.0);
    // The events of the tests were recorded in 1970.
    assert!(value("event_processing_lag_seconds{projection=\"balances\"}") > 1e9);
    projections.rebuild("balances", false).await.unwrap();
    let view = projections.view::<Balances>().unwrap();
    crate::world::becomes(&view, |progress| progress.rebuild.is_some()).await;
    projections.sample_metrics().await;
    assert_eq!(value("projection_rebuild_lag_events{projection=\"balances\"}"), 5.0);
    projections.resume("balances").await.unwrap();
    view.wait_for(Position(5), PATIENCE).await.unwrap();
    crate::world::becomes(&view, |progress| progress.rebuild.is_none()).await;
    projections.sample_metrics().await;
    assert_eq!(value("projection_rebuild_lag_events{projection=\"balances\"}"), 0.0);
    assert_eq!(value("projection_stopped{projection=\"balances\"}"), 0.0);
    assert_eq!(value("event_processing_lag_seconds{projection=\"balances\"}"), 0.0);
}

#[tokio::test]
async fn live_events_are_collected_until_a_reader_waits_for_them() {
    const EVENTS: f64 = 50.0;
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let batches = || {
        let rendered = handle.render();
        let name = "projection_batch_events_count{projection=\"balances\",build=\"served\"} ";
        rendered.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let journal = journal().await;
    let mut teller = Teller::new(&journal);
    // Every batch delays the next one by an hour.
    let patient = Options { batch_interval: Duration::from_secs(3600), interval_factor: u32::MAX, ..options() };
    let projections: Projections = run(&journal, memory(), patient).await;
    teller.deposit("a", 1).await;
    caught_up(&projections, &journal).await;
    let before = batches();
    for _ in 0..EVENTS as usize {
        teller.deposit("a", 1).await;
    }
    caught_up(&projections, &journal).await;
    // Two, if the first reader came while the worker was projecting: then the batch after that is not delayed.
    let more = batches() - before;
    assert!((1.0..=2.0).contains(&more), "{more} batches");
}
