//! The read side of an application inside another program: it starts and stops with the application, and blocks nothing
//! else.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests do")]

use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use dormouse::{
    Aggregate, AggregateId, App, Config, Context, DomainEvent, Event, GivenEvents, JournalUrl, Key, Keys, Project,
    Projection, Running, Sources, StartError, ViewsError,
};
use dormouse_engine::CommandOptions;
use dormouse_kernel::Position;
use dormouse_projections::store::Sqlite;
use dormouse_projections::{Definition, ViewStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Visits(u64);

#[derive(Serialize, Deserialize, JsonSchema)]
enum VisitsCommand {
    Visit {},
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum VisitsEvent {
    Visited,
}

impl DomainEvent for VisitsEvent {}

impl Aggregate for Visits {
    const TYPE: &'static str = "visits";
    type Command = VisitsCommand;
    type Event = VisitsEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, _: VisitsCommand, context: &mut Context<Self>) -> Result<(), Self::Rejection> {
        context.emit(VisitsEvent::Visited);
        Ok(())
    }

    fn evolve(&mut self, _: &VisitsEvent) {
        self.0 += 1;
    }
}

/// How often each place was visited.
struct Places;

impl Projection for Places {
    const NAME: &'static str = "places";
    type Document = u64;

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Visits>()
    }
}

impl Project<Visits> for Places {
    fn keys(event: &Event<'_, Visits>) -> Keys {
        Keys::one(event.id())
    }

    fn project(visits: Option<u64>, _: &Event<'_, Visits>, _: &Key) -> Option<u64> {
        Some(visits.unwrap_or(0) + 1)
    }
}

/// A projection that blocks until its gate opens.
struct Stuck;

static GATE: Mutex<bool> = Mutex::new(false);
static CHANGED: Condvar = Condvar::new();

impl Projection for Stuck {
    const NAME: &'static str = "stuck";
    type Document = ();

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Visits>()
    }
}

impl Project<Visits> for Stuck {
    fn keys(_: &Event<'_, Visits>) -> Keys {
        drop(CHANGED.wait_while(GATE.lock().unwrap(), |is_open| !*is_open).unwrap());
        Keys::none()
    }

    fn project(_: Option<()>, _: &Event<'_, Visits>, _: &Key) -> Option<()> {
        None
    }
}

fn app() -> App {
    App::new("visitors").aggregate::<Visits>()
}

fn in_memory() -> Config {
    let mut config = Config::embedded();
    config.journal.url = JournalUrl::Memory;
    config.gateway.listen = "127.0.0.1:0".parse().unwrap();
    config
}

fn in_files(directory: &Path) -> Config {
    let mut config = in_memory();
    config.journal.url = JournalUrl::Sqlite(directory.to_owned());
    config
}

async fn visit(running: &Running, times: usize) {
    let visits = running.engine().aggregates::<Visits>().unwrap();
    for _ in 0..times {
        let home = AggregateId::new("home").unwrap();
        visits.execute(home, VisitsCommand::Visit {}, CommandOptions::default()).await.unwrap();
    }
}

#[test]
fn projections_are_tested_without_a_server() {
    GivenEvents::<Places>::nothing().when::<Visits>("home", [VisitsEvent::Visited]).then("home", &1);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_read_in_their_own_types_and_are_complete_when_the_application_has_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let running = app().projection::<Places>().start(in_files(directory.path())).await.unwrap();
    visit(&running, 300).await;
    let view = running.view::<Places>().unwrap();
    view.wait_for(Position(300), Duration::from_secs(30)).await.unwrap();
    assert_eq!(view.get(&Key::from("home")).await.unwrap().document.unwrap().content, 300);
    assert!(running.view::<Stuck>().is_none());
    // No read waits for these events.
    visit(&running, 50).await;
    assert!(running.stop().await.complete);

    let views = Sqlite::open(directory.path(), 1).await.unwrap();
    let builds = views.prepare(&Definition::of::<Places>().unwrap()).await.unwrap();
    assert_eq!(builds.serving.unwrap().offset.position, Position(350));
    views.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_may_have_a_directory_of_their_own() {
    let (journal, views) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut config = in_files(journal.path());
    config.views.url = format!("sqlite://{}", views.path().display()).parse().unwrap();
    let running = app().projection::<Places>().start(config).await.unwrap();
    assert!(running.stop().await.complete);
    assert!(views.path().join("views.db").exists() && !journal.path().join("views.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_without_projections_opens_no_views() {
    let directory = tempfile::tempdir().unwrap();
    let running = app().start(in_files(directory.path())).await.unwrap();
    assert!(running.projections().is_none());
    assert!(running.stop().await.complete);
    assert!(!directory.path().join("views.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn views_that_cannot_be_opened_refuse_the_start_and_the_journal_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("file");
    std::fs::write(&nowhere, "no directory").unwrap();
    let mut config = in_files(directory.path());
    config.views.url = format!("sqlite://{}", nowhere.display()).parse().unwrap();
    let refused = app().projection::<Places>().start(config.clone()).await.unwrap_err();
    let line = refused.to_string();
    assert!(matches!(refused, StartError::Views(ViewsError::Unopened { .. })), "{line}");
    assert!(line.starts_with(&format!("cannot open the views at sqlite://{}: ", nowhere.display())), "{line}");

    // Without projections, or with the views in another directory, the application starts.
    assert!(app().start(config.clone()).await.unwrap().stop().await.complete);
    config.views.url = "memory:".parse().unwrap();
    assert!(app().projection::<Places>().start(config).await.unwrap().stop().await.complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn projections_that_do_not_fit_together_are_refused_with_the_reason() {
    let twice = app().projection::<Places>().projection::<Places>().start(in_memory()).await.unwrap_err();
    assert_eq!(twice.to_string(), "there are two projections places");
}

#[tokio::test(flavor = "multi_thread")]
async fn views_that_cannot_be_reached_are_named_without_their_password() {
    let mut config = in_memory();
    // No server listens on that port.
    config.views.url = "postgres://app:hunter2@127.0.0.1:1/x".parse().unwrap();
    let line = app().projection::<Places>().start(config).await.unwrap_err().to_string();
    assert!(line.contains("cannot open the views at postgres://app:***@127.0.0.1:1/x"), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_projection_that_blocks_delays_neither_commands_nor_the_shutdown() {
    let mut config = in_memory();
    config.gateway.drain_timeout = Duration::from_secs(3);
    let running = app().projection::<Stuck>().projection::<Places>().start(config).await.unwrap();
    visit(&running, 20).await;
    running.view::<Places>().unwrap().wait_for(Position(20), Duration::from_secs(30)).await.unwrap();
    let stopped = timeout(Duration::from_secs(30), running.stop()).await;
    *GATE.lock().unwrap() = true;
    CHANGED.notify_all();
    assert!(stopped.unwrap().complete);
}
