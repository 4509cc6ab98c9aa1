//! Applications inside another program: several at once, without a command line, and stopped in good order.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests do")]

#[path = "embedding/operations.rs"]
mod operations;

use dormouse::{Aggregate, App, Config, Context, DomainEvent, JournalUrl, Running, StartError};
use dormouse_harness::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

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
    type Reply = u64;
    type Rejection = std::convert::Infallible;

    fn decide(
        &self,
        VisitsCommand::Visit {}: VisitsCommand,
        context: &mut Context<Self>,
    ) -> Result<u64, Self::Rejection> {
        context.emit(VisitsEvent::Visited);
        Ok(context.state().0)
    }

    fn evolve(&mut self, VisitsEvent::Visited: &VisitsEvent) {
        self.0 += 1;
    }
}

fn config() -> Config {
    let mut config = Config::embedded();
    config.journal.url = JournalUrl::Memory;
    config.gateway.listen = "127.0.0.1:0".parse().unwrap();
    config
}

/// Visits once over HTTP, and returns the number of visits.
async fn visit(running: &Running) -> u64 {
    let client = Client::new(format!("http://{}", running.address()));
    let answer = tokio::task::spawn_blocking(move || client.post("/v1/visits/home/visit", &json!({})));
    answer.await.unwrap().unwrap().json()["reply"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_in_one_process_share_nothing_but_metrics() {
    let app = App::new("visitors").aggregate::<Visits>();
    let (one, other) = (app.start(config()).await.unwrap(), app.start(config()).await.unwrap());
    assert_eq!((visit(&one).await, visit(&one).await, visit(&other).await), (1, 2, 1));
    let address = other.address();
    let metrics = tokio::task::spawn_blocking(move || Client::new(format!("http://{address}")).get("/metrics"));
    let metrics = metrics.await.unwrap().unwrap().text();
    let visits =
        metrics.lines().find_map(|line| line.strip_prefix(r#"cqrs_command_total{command_type="Visit",status="ok"} "#));
    // Other tests of this process visit, too.
    assert!(visits.is_some_and(|visits| visits.parse::<u64>().unwrap() >= 3), "{metrics}");

    assert!(one.stop().await.complete);
    assert_eq!(visit(&other).await, 2);
    assert!(other.stop().await.complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_can_be_sent_from_inside() {
    let running = App::new("visitors").aggregate::<Visits>().start(config()).await.unwrap();
    visit(&running).await;
    let visits = running.engine().aggregates::<Visits>().unwrap();
    let home = dormouse::AggregateId::new("home").unwrap();
    assert_eq!(visits.state(&home).await.unwrap().state.0, 1);
}

#[tokio::test]
async fn an_invalid_application_is_refused_with_the_reason() {
    let app = App::new("visitors").aggregate::<Visits>();
    let twice = app.clone().aggregate::<Visits>().start(config()).await.unwrap_err();
    assert_eq!(twice.to_string(), "two aggregates are called \"visits\"");

    let mut open = config();
    open.gateway.listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(app.start(open).await, Err(StartError::Config(violation)) if violation.key == "gateway.listen"));
}
