//! One run: a few callers send commands to a few aggregates. Each command has a key, and is retried until its outcome
//! is known.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytesize::ByteSize;
use dormouse_config::Config;
use dormouse_engine::{CommandError, CommandOptions, QueryError};
use dormouse_faults::{Dice, Fault, Faulty};
use tokio::task::JoinSet;

use crate::counter::Command;
use crate::ledger::{Ledger, ObservedOutcome};
use crate::world::{World, aggregate, config, every, keyed};

const CALLERS: u64 = 8;
const COMMANDS: u64 = 3;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// A sender gives up after this many attempts.
const ATTEMPTS: usize = 200;

/// Nothing here takes this long: a sender that times out was not answered.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A run that takes longer hangs. Its senders time out first, and say so.
const HANGS: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) panics: bool,
    pub(crate) hang_ups: bool,
    pub(crate) failing_commits: bool,
}

pub(crate) async fn play(scenario: Scenario, seed: u64) {
    let mut dice = Dice::new(seed);
    let store = Faulty::in_memory();
    if scenario.failing_commits {
        let faults = [Fault::None, Fault::Lost { committed: true }, Fault::Lost { committed: false }];
        store.script((0..6).map(|_| dice.pick(&faults)));
        // A permanent refusal costs the pause of the writer, so that one for each run is enough.
        store.script([Fault::Refused]);
    }
    let world = World::on(store, hurried(&mut dice)).await;
    let ledgers: Arc<[Ledger]> = NAMES[..1 + dice.below(3) as usize].iter().map(|name| Ledger::new(name)).collect();
    let played = tokio::spawn(play_on(scenario, dice, world.clone(), Arc::clone(&ledgers)));
    let context = format!("scenario {:?}, DORMOUSE_RACE_SEED={seed}", scenario.name);
    match tokio::time::timeout(HANGS, played).await {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => panic!("{context}: {panic}"),
        Err(_) => panic!("{context}: the run hangs; {:?}, {ledgers:#?}, {:?}", world.engine, world.store),
    }
}

/// Aggregates sleep at every opportunity, and many of them lose their dormant bytes and keys.
fn hurried(dice: &mut Dice) -> Config {
    let mut config = every(dice.pick(&[1, 3, 1000]), config());
    config.runtime.shards = 2.try_into().unwrap();
    config.passivation.idle_after = Duration::ZERO;
    config.passivation.sweep_interval = Duration::from_millis(1);
    config.passivation.max_live = 1.try_into().unwrap();
    config.passivation.dormant_budget = dice.pick(&[ByteSize::b(0), ByteSize::mib(1)]);
    config.commands.recent_keys = dice.pick(&[1_usize, 4, 1024]).try_into().unwrap();
    config.commands.timeout = TIMEOUT;
    config.supervision.restarts = 1_000;
    config.supervision.backoff_min = Duration::from_millis(1);
    config.supervision.backoff_max = Duration::from_millis(1);
    config
}

async fn play_on(scenario: Scenario, mut dice: Dice, world: World, ledgers: Arc<[Ledger]>) {
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let caller = Caller {
            number,
            scenario,
            world: world.clone(),
            ledgers: Arc::clone(&ledgers),
            dice: Dice::new(dice.roll()),
        };
        callers.spawn(caller.run());
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let report = world.drain().await;
    assert!(report.complete, "every permit was returned and every aggregate sleeps: {report:?}");
    let residency = &world.engine.residency()[0];
    assert_eq!((residency.live, residency.waking), (0, 0), "the counters agree");
    assert!(residency.quarantined.is_empty());
    assert_eq!(world.store.violations(), [] as [String; 0]);
    for ledger in &*ledgers {
        ledger.check(&world).await;
    }
}

struct Caller {
    number: u64,
    scenario: Scenario,
    world: World,
    ledgers: Arc<[Ledger]>,
    dice: Dice,
}

impl Caller {
    async fn run(mut self) {
        for number in 0..COMMANDS {
            let ledgers = Arc::clone(&self.ledgers);
            let ledger = &ledgers[self.dice.below(ledgers.len() as u64) as usize];
            self.command(ledger, format!("{}-{number}", self.number)).await;
            if self.dice.one_in(2) {
                self.read(ledger).await;
            }
            if self.scenario.panics && self.dice.one_in(4) {
                let misbehaviour = if self.dice.one_in(2) { Command::Panic } else { Command::Poison };
                let answer = self.world.send(ledger.name, misbehaviour, CommandOptions::default()).await;
                answer.expect_err("it panics");
            }
            if self.dice.one_in(4) {
                // Long enough for a sweep.
                tokio::time::sleep(Duration::from_millis(self.dice.below(3))).await;
            }
        }
    }

    /// Sends a command until its outcome is known.
    async fn command(&mut self, ledger: &Ledger, key: String) {
        let command = match self.dice.below(8) {
            0 => Command::Refuse,
            1 => Command::AddAll { by: vec![1; 3] },
            _ => Command::Add { by: 1 },
        };
        let before = ledger.highest();
        for _ in 0..ATTEMPTS {
            let sending = self.world.send(ledger.name, command.clone(), keyed(&key));
            let answer = if self.scenario.hang_ups && self.dice.one_in(2) {
                hang_up_after(self.dice.below(12), sending).await
            } else {
                Some(sending.await)
            };
            match answer {
                Some(Ok(outcome)) => {
                    let version = outcome.version.0;
                    assert!(version > before, "{key} was sent after {before} was answered, and became {version}");
                    return ledger.record(key, ObservedOutcome::Done(version));
                }
                Some(Err(CommandError::Rejected(_))) => return ledger.record(key, ObservedOutcome::Refused),
                None => {}
                Some(Err(
                    CommandError::KeyInFlight
                    | CommandError::Undone
                    | CommandError::Unavailable(_)
                    | CommandError::Restarting { .. },
                )) => tokio::time::sleep(Duration::from_micros(500)).await,
                Some(Err(error)) => panic!("{key}: {error:?}"),
            }
            if self.scenario.hang_ups && self.dice.one_in(20) {
                break;
            }
        }
        ledger.record(key, ObservedOutcome::Unknown);
    }

    /// Reads a state. It must contain all events that were acknowledged before, and all of it must be durable.
    async fn read(&self, ledger: &Ledger) {
        let before = ledger.highest();
        match self.world.read(ledger.name).await {
            Ok(stated) => {
                let version = stated.version;
                assert!(version.0 >= before, "{version} was read after {before} was answered");
                let durable = self.world.store.inner().versions(&[aggregate(ledger.name)]).await.unwrap()[0];
                assert!(version <= durable, "{version} was read, {durable} is durable");
                ledger.record_read(version.0, stated.state.total);
            }
            Err(QueryError::NotFound) => assert_eq!(before, 0),
            Err(QueryError::Unavailable(_) | QueryError::Restarting { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Drops a future after this many polls, if it is not ready by then.
async fn hang_up_after<T>(polls: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}
