//! Domain code that keeps its thread to itself, and those who have nothing to do with it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dormouse_config::Config;
use dormouse_engine::{Aggregates, CommandOptions, Engine};
use dormouse_journal::store::{Memory, Retention};
use dormouse_journal::{Journal, Options};
use dormouse_kernel::{Aggregate, AggregateId, Context, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// More quick decisions than it takes to trust a type.
const QUICK: usize = 32;

/// So long does a loop go on that nobody ends.
const ENDLESS: Duration = Duration::from_secs(10);

static HELD: AtomicBool = AtomicBool::new(false);
static LOOPING: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Default, Serialize, Deserialize)]
struct Gate;

#[derive(Serialize, Deserialize, JsonSchema)]
enum GateCommand {
    Pass,
    /// Decides only once it is not held any more.
    Hold,
    /// Decides only once it was told to stop looping.
    Loop,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum GateEvent {
    Passed,
}

impl DomainEvent for GateEvent {}

impl Aggregate for Gate {
    const TYPE: &'static str = "gate";
    type Command = GateCommand;
    type Event = GateEvent;
    type Reply = ();
    type Rejection = Infallible;

    fn decide(&self, command: GateCommand, context: &mut Context<Self>) -> Result<(), Infallible> {
        match command {
            GateCommand::Pass => {}
            GateCommand::Hold => while_set(&HELD),
            GateCommand::Loop => while_set(&LOOPING),
        }
        context.emit(GateEvent::Passed);
        Ok(())
    }

    fn evolve(&mut self, _event: &GateEvent) {}
}

fn while_set(flag: &AtomicBool) {
    let started = std::time::Instant::now();
    while flag.load(Ordering::SeqCst) && started.elapsed() < ENDLESS {
        std::hint::spin_loop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_was_submitted_is_committed_although_the_next_decision_does_not_end() {
    let retention = Retention { keep_count: 1, max_age: Duration::ZERO };
    let journal = Journal::start(Arc::new(Memory::new(retention)), Options::default()).await.unwrap();
    let engine = Engine::builder(Config::embedded()).aggregate::<Gate>().start(journal).await.unwrap();
    let gates = engine.aggregates::<Gate>().unwrap();
    for _ in 0..QUICK {
        execute(&gates, GateCommand::Pass).await;
    }

    HELD.store(true, Ordering::SeqCst);
    LOOPING.store(true, Ordering::SeqCst);
    let held = tokio::spawn({
        let gates = gates.clone();
        async move { execute(&gates, GateCommand::Hold).await }
    });
    let looping = tokio::spawn({
        let gates = gates.clone();
        async move { execute(&gates, GateCommand::Loop).await }
    });
    // Both are in the mailbox: the first is being decided, the second follows it without a pause.
    while engine.requests_under_way() < 2 {
        tokio::task::yield_now().await;
    }
    HELD.store(false, Ordering::SeqCst);
    let answered = tokio::time::timeout(ENDLESS / 2, held).await;
    LOOPING.store(false, Ordering::SeqCst);
    answered.expect("the first command waits for the loop behind it").unwrap();
    looping.await.unwrap();
}

async fn execute(gates: &Aggregates<Gate>, command: GateCommand) {
    gates.execute(AggregateId::new("a").unwrap(), command, CommandOptions::default()).await.unwrap();
}
