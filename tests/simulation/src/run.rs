//! One run, from its seed to the checker's result.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_engine::QueryError;
use dormouse_faults::Dice;
use dormouse_journal::store::{Memory, Retention};
use dormouse_journal::{PageLimit, Store};
use dormouse_kernel::Position;

use crate::checker::check;
use crate::client::Client;
use crate::cluster::{Node, id, reference};
use crate::history::{History, Name, Ownership, Request, Response};
use crate::life::{LifePlan, Participants, live};
use crate::rival::Rival;
use crate::scenario::{Scenario, hurried};
use crate::time::Time;
use crate::trace::{Source, Trace};

/// The lives with faults. After them comes a life in which the remaining work is done.
const TROUBLED_LIVES: usize = 4;

const CLIENTS: usize = 8;

const WATCHERS: usize = 2;

const RIVALS: usize = 2;

/// The maximum number of actions of a client. A command counts once, with all its repetitions.
const STEPS: u64 = 6;

/// Each client has one of this many milliseconds for itself.
const TURNS: u64 = 16;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The checker's findings.
    pub violations: Vec<String>,
    /// The same number for the same run.
    pub fingerprint: u64,
    /// The events of the run, line by line.
    pub trace: Vec<String>,
    /// The number of events in the log at the end.
    pub events: usize,
}

/// What all processes of a run share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) storage: Arc<dyn Store>,
    pub(crate) time: Time,
    trace: Trace,
    history: Mutex<History>,
    violations: Mutex<Vec<String>>,
}

/// Plays the run of a seed, and checks it.
#[must_use]
pub fn play(scenario: Scenario, seed: u64) -> Run {
    let retention = Retention { keep_count: 3, max_age: Duration::from_secs(1 << 30), keep_sparse: 0 };
    let world = Arc::new(World {
        storage: Arc::new(Memory::new(retention)),
        time: Time::default(),
        trace: Trace::default(),
        history: Mutex::default(),
        violations: Mutex::default(),
    });
    let events = match catch_unwind(AssertUnwindSafe(|| play_in(&world, scenario, seed))) {
        Ok(events) => events,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            world.report(format!("it panicked: {}", text.unwrap_or_default()));
            0
        }
    };
    let violations = world.violations.lock().unwrap().clone();
    Run { violations, fingerprint: world.trace.fingerprint(), trace: world.trace.lines(), events }
}

fn play_in(world: &Arc<World>, scenario: Scenario, seed: u64) -> usize {
    let mut dice = Dice::new(seed);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(Client::new(number, scenario, dice.roll(), 1 + dice.below(STEPS) as u32));
    }
    for number in CLIENTS..CLIENTS + WATCHERS {
        clients.push(Client::watcher(number, scenario, dice.roll(), dice.below(STEPS) as u32));
    }
    let mut rivals = Vec::new();
    for number in clients.len()..clients.len() + RIVALS {
        rivals.push(Rival::new(number, dice.roll(), dice.below(STEPS) as u32));
    }
    let participants = Participants { clients, rivals };
    for _ in 0..TROUBLED_LIVES {
        if !participants.have_finished() {
            let plan = LifePlan::draw(&scenario, &mut dice);
            let life = live(Arc::clone(world), plan, Dice::new(dice.roll()), participants.clone());
            world.in_a_process(life);
        }
    }
    if !participants.have_finished() {
        world.in_a_process(live(Arc::clone(world), LifePlan::calm(), Dice::new(dice.roll()), participants.clone()));
    }
    world.in_a_process(read_everything(Arc::clone(world), Dice::new(dice.roll())));
    let log = world.in_a_process({
        let storage = Arc::clone(&world.storage);
        async move { storage.read_log(Position::ZERO, PageLimit::ALL).await.unwrap() }
    });
    let found = check(&log, &world.history.lock().unwrap());
    found.into_iter().for_each(|violation| world.report(violation));
    log.len()
}

/// At the end, a last node reads every state.
async fn read_everything(world: Arc<World>, mut dice: Dice) {
    let node = Node::start(&world, 0, LifePlan::calm().odds, hurried(&mut dice)).await;
    for name in ["a", "b", "c"] {
        let to = Name("register", name);
        let request = world.send(node.number, to.clone(), Request::State);
        let response = match node.registers.state(&id(name)).await {
            Ok(stated) => Response::State { version: stated.version.0, state: stated.state },
            Err(QueryError::NotFound) => Response::Missing,
            Err(error) => Response::Nonsense(format!("{error:?}")),
        };
        world.note(Source::World, format!("{name} is {response:?} in the end"));
        world.answer(request, &to, response).await;
    }
}

impl World {
    /// Runs a life on a runtime of its own. The runtime is dropped afterwards, with all its tasks.
    fn in_a_process<T>(&self, life: impl Future<Output = T>) -> T {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            self.time.begin_life();
            let lived = life.await;
            self.time.end_life();
            lived
        })
    }

    pub(crate) fn note(&self, source: Source, line: String) {
        self.trace.note(self.time.now(), source, line);
    }

    /// Records a violation.
    pub(crate) fn report(&self, violation: String) {
        self.note(Source::World, format!("WRONG: {violation}"));
        self.violations.lock().unwrap().push(violation);
    }

    pub(crate) fn new_node(&self) -> usize {
        let nodes = &mut self.history.lock().unwrap().nodes;
        nodes.push(Ownership { ended: None });
        nodes.len() - 1
    }

    /// Another node begins to take over from this one.
    pub(crate) fn loses_ownership(&self, node: usize) {
        let now = self.time.now();
        let mut history = self.history.lock().unwrap();
        history.nodes[node].ended = Some(history.now(now));
    }

    /// Returns the number of the request.
    pub(crate) fn send(&self, node: usize, to: Name, request: Request) -> usize {
        self.history.lock().unwrap().send(self.time.now(), node, to, request)
    }

    pub(crate) async fn answer(&self, request: usize, to: &Name, response: Response) {
        let durable = self.storage.versions(&[reference(to)]).await.unwrap()[0].0;
        self.history.lock().unwrap().answer(request, self.time.now(), durable, response);
    }

    /// The milliseconds until the next one that belongs to this client alone; never zero.
    pub(crate) fn until_turn_of(&self, client: usize) -> u64 {
        let turn = self.time.now() % TURNS;
        TURNS - (turn + TURNS - client as u64) % TURNS
    }
}
