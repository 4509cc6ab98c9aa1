//! Domain code that keeps its thread, and the journal and other aggregates, which must not notice.

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
use tokio::runtime::Builder;

/// Decisions that do not return, all at once.
const STUCK: usize = 3;

/// How long a loop runs that no test ends.
const ENDLESS: Duration = Duration::from_secs(60);

static HELD: AtomicBool = AtomicBool::new(false);
static LOOPING: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Default, Serialize, Deserialize)]
struct Gate;

#[derive(Serialize, Deserialize, JsonSchema)]
enum GateCommand {
    Pass,
    /// Decides once `HELD` is false.
    Hold,
    /// Decides once `LOOPING` is false.
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

#[test]
fn a_decision_that_does_not_end_holds_up_neither_the_journal_nor_other_aggregates() {
    // The journal and its callers have one thread, so that a blocked thread would block all of them.
    let server = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let domain = Builder::new_multi_thread().worker_threads(STUCK + 1).enable_time().build().unwrap();
    server.block_on(async {
        let retention = Retention { keep_count: 1, max_age: Duration::ZERO, keep_sparse: 0 };
        let journal = Journal::start(Arc::new(Memory::new(retention)), Options::default()).await.unwrap();
        let builder = Engine::builder(Config::embedded()).aggregate::<Gate>().threads(domain.handle().clone());
        let engine = builder.start(journal).await.unwrap();
        let gates = engine.aggregates::<Gate>().unwrap();
        execute(&gates, "a", GateCommand::Pass).await;

        // In each aggregate the first command is decided and submitted, and the second follows without a pause.
        HELD.store(true, Ordering::SeqCst);
        LOOPING.store(true, Ordering::SeqCst);
        let (mut held, mut looping) = (Vec::new(), Vec::new());
        for number in 0..STUCK {
            let send = |command| {
                let gates = gates.clone();
                async move { execute(&gates, &number.to_string(), command).await }
            };
            held.push(tokio::spawn(send(GateCommand::Hold)));
            tokio::task::yield_now().await;
            looping.push(tokio::spawn(send(GateCommand::Loop)));
        }
        while engine.requests_under_way() < 2 * STUCK {
            tokio::task::yield_now().await;
        }
        HELD.store(false, Ordering::SeqCst);
        let answered = tokio::time::timeout(ENDLESS / 2, async {
            for held in held {
                held.await.unwrap();
            }
            execute(&gates, "another", GateCommand::Pass).await;
        });
        let answered = answered.await;
        LOOPING.store(false, Ordering::SeqCst);
        answered.expect("submitted commands or other aggregates wait for the loops");
        for looping in looping {
            looping.await.unwrap();
        }
    });
    server.shutdown_background();
    domain.shutdown_background();
}

async fn execute(gates: &Aggregates<Gate>, id: &str, command: GateCommand) {
    gates.execute(AggregateId::new(id).unwrap(), command, CommandOptions::default()).await.unwrap();
}
