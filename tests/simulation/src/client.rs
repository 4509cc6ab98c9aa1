//! A client. It sends commands and repeats them until their outcome is known, reads, and hangs up.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use dormouse_engine::{CommandError, CommandOptions, Expected, Outcome, QueryError, VersionedState};
use dormouse_faults::Dice;
use dormouse_kernel::{CommandKey, Version};
use tokio::time::Instant;

use crate::cluster::{Cluster, Node, id};
use crate::history::{Done, Name, Request, Response};
use crate::register::{Order, Register, TooLittle};
use crate::run::World;
use crate::scenario::Scenario;
use crate::trace::Source;

/// Few, so that several clients use the same aggregate.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// After this many attempts, spread over seconds, the outcome of a command should be known.
const ATTEMPTS: u32 = 200;

/// The state of a client. It survives the process that the client talks to.
#[derive(Debug)]
pub(crate) struct Client {
    number: usize,
    scenario: Scenario,
    /// The client only reads, and stays with its node until that refuses it.
    watches: bool,
    dice: Dice,
    /// The number of actions still to do.
    left: u32,
    named: u32,
    pending: Option<Pending>,
    /// The last version that it saw of each aggregate.
    seen: [u64; NAMES.len()],
}

/// A command whose outcome is not known.
#[derive(Clone, Debug)]
struct Pending {
    name: String,
    /// The name of the other command whose key this one uses.
    stolen: Option<String>,
    to: usize,
    order: Order,
    expected: Expected,
    keyed: bool,
    attempts: u32,
    /// The command was answered, and is sent once more to get the same answer.
    again: bool,
}

/// How long the client waits for an answer.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Enough,
    Polls(u64),
    Milliseconds(u64),
    /// The request has a deadline.
    Deadline(u64),
}

enum Next {
    Read(usize),
    Attempt(Pending),
}

impl Client {
    pub(crate) fn new(number: usize, scenario: Scenario, seed: u64, steps: u32) -> Arc<Mutex<Self>> {
        let dice = Dice::new(seed);
        Arc::new(Mutex::new(Self {
            number,
            scenario,
            watches: false,
            dice,
            left: steps,
            named: 0,
            pending: None,
            seen: [0; 3],
        }))
    }

    /// A client that only reads, and stays with its node until that refuses it.
    pub(crate) fn watcher(number: usize, scenario: Scenario, seed: u64, steps: u32) -> Arc<Mutex<Self>> {
        let watcher = Self::new(number, scenario, seed, steps);
        watcher.lock().unwrap().watches = true;
        watcher
    }

    pub(crate) fn has_finished(&self) -> bool {
        self.left == 0 && self.pending.is_none()
    }

    fn next(&mut self) -> Option<Next> {
        if let Some(pending) = &self.pending {
            return Some(Next::Attempt(pending.clone()));
        }
        self.left = self.left.checked_sub(1)?;
        let to = self.dice.below(NAMES.len() as u64) as usize;
        if self.watches || self.dice.one_in(3) {
            return Some(Next::Read(to));
        }
        self.named += 1;
        let name = format!("{}-{}", self.number, self.named);
        let order = self.order(&name);
        let expected = match self.dice.below(8) {
            0 => Expected::Exactly(Version(self.seen[to])),
            1 => Expected::Exists,
            _ => Expected::Any,
        };
        let keyed = !self.dice.one_in(6);
        let pending = Pending { name, stolen: None, to, order, expected, keyed, attempts: 0, again: false };
        self.pending = Some(pending.clone());
        Some(Next::Attempt(pending))
    }

    fn order(&mut self, name: &str) -> Order {
        let (command, number) = (name.to_owned(), self.dice.below(9) as i64 + 1);
        match self.dice.below(12) {
            0 | 1 => Order::Note { command, numbers: vec![number; 3] },
            2 | 3 => Order::Withdraw { command, number: number * 2 },
            4 => Order::Look {},
            5 if self.scenario.panics && self.dice.one_in(2) => Order::Panic {},
            5 if self.scenario.panics => Order::Poison {},
            _ => Order::Note { command, numbers: vec![number] },
        }
    }

    fn patience(&mut self) -> Waiting {
        match self.dice.below(12) {
            0 => Waiting::Polls(self.dice.below(12)),
            1 => Waiting::Milliseconds(self.dice.below(20)),
            2 => Waiting::Deadline(self.dice.below(20)),
            _ => Waiting::Enough,
        }
    }

    fn pause(&mut self) -> u64 {
        let pauses: &[u64] = if self.watches { &[5, 100, 300, 900] } else { &[0, 0, 0, 1, 2, 5, 20, 300] };
        self.dice.pick(pauses)
    }

    /// Most clients stay with their node until it refuses them, or until they hear of another one.
    fn next_node(&mut self, node: &Arc<Node>, cluster: &Cluster) -> Arc<Node> {
        match (self.watches, self.dice.one_in(4)) {
            (true, _) => Arc::clone(node),
            (false, true) => cluster.current(),
            (false, false) => cluster.after(node),
        }
    }

    /// Decides whether the client repeats the command.
    fn learns(&mut self, response: &Response) {
        let Some(mut pending) = self.pending.take() else { return };
        if let Some(version) = response.version() {
            self.seen[pending.to] = version;
        }
        let goes_on = match response {
            Response::Done(_) if pending.keyed && !pending.again && pending.stolen.is_none() => {
                if self.dice.one_in(6) {
                    // A new command that uses the same key.
                    let thief = format!("{}-thief", pending.name);
                    let key = std::mem::replace(&mut pending.name, thief);
                    pending.order = Order::Note { command: pending.name.clone(), numbers: vec![100] };
                    pending.stolen = Some(key);
                    true
                } else {
                    pending.again = self.dice.one_in(3);
                    pending.again
                }
            }
            response if response.is_final() => false,
            Response::Unknown if !pending.keyed => false,
            Response::Unknown => !self.dice.one_in(8),
            _ => true,
        };
        self.pending = goes_on.then_some(pending);
    }
}

/// Continues the actions of the client until all are done.
pub(crate) async fn go_on(client: Arc<Mutex<Client>>, cluster: Arc<Cluster>, world: Arc<World>) {
    let number = client.lock().unwrap().number;
    let mut node = cluster.current();
    {
        let mut client = client.lock().unwrap();
        // The last attempt was in progress when the process ended.
        let cut_off = client.pending.as_ref().is_some_and(|pending| pending.attempts > 0 && !pending.keyed);
        if cut_off {
            client.pending = None;
        }
    }
    loop {
        let pause = client.lock().unwrap().pause();
        rest(pause).await;
        let Some(next) = client.lock().unwrap().next() else { return };
        node = client.lock().unwrap().next_node(&node, &cluster);
        let response = match next {
            Next::Read(from) => read(&node, number, from, &world).await,
            Next::Attempt(pending) => {
                if pending.attempts == ATTEMPTS {
                    world.report(format!("it never becomes clear what became of {pending:?}"));
                    client.lock().unwrap().pending = None;
                    continue;
                }
                let patience = {
                    let mut client = client.lock().unwrap();
                    // From here on, the command may have been sent, also if the process crashes.
                    client.pending.iter_mut().for_each(|pending| pending.attempts += 1);
                    client.patience()
                };
                let response = attempt(&node, number, pending, patience, &world).await;
                client.lock().unwrap().learns(&response);
                response
            }
        };
        if let Response::Nothing(_) | Response::Unknown = response {
            // When an engine stops, all its clients get their answers at the same time, in any order. From now on, each
            // client acts in milliseconds of its own.
            rest(world.until_turn_of(number)).await;
            node = cluster.current();
        }
    }
}

async fn read(node: &Node, client: usize, from: usize, world: &World) -> Response {
    let to = Name("register", NAMES[from]);
    world.note(Source::Client(client), format!("reads {} from node {}", to.1, node.number));
    let request = world.send(node.number, to.clone(), Request::State);
    let response = understand_state(node.registers.state(&id(to.1)).await);
    world.answer(request, &to, response.clone()).await;
    world.note(Source::Client(client), format!("read {response:?}"));
    response
}

async fn attempt(node: &Node, client: usize, pending: Pending, patience: Waiting, world: &World) -> Response {
    let Pending { name, stolen, to, order, expected, keyed, again, .. } = pending;
    let to = Name("register", NAMES[to]);
    let key = keyed.then(|| CommandKey::new(stolen.as_ref().unwrap_or(&name).as_str()).unwrap());
    let line =
        format!("{name} to {} at node {}: {order:?} if {expected}, key {key:?}, {patience:?}", to.1, node.number);
    world.note(Source::Client(client), if again { format!("again {line}") } else { line });
    let (is_look, misbehaves) = (order == Order::Look {}, matches!(order, Order::Panic {} | Order::Poison {}));
    let steals_key = stolen.is_some();
    let request = world.send(node.number, to.clone(), Request::Command { name, expected, steals_key });
    let deadline = match patience {
        Waiting::Deadline(milliseconds) => Some(Instant::now() + Duration::from_millis(milliseconds)),
        _ => None,
    };
    let options = CommandOptions { key, expected, deadline, ..CommandOptions::default() };
    let sending = node.registers.execute(id(to.1), order, options);
    let answer = match patience {
        Waiting::Enough | Waiting::Deadline(_) => Some(sending.await),
        Waiting::Polls(polls) => hang_up_after(polls, sending).await,
        Waiting::Milliseconds(time) => tokio::time::timeout(Duration::from_millis(time), sending).await.ok(),
    };
    let response = answer.map_or(Response::Unknown, |answer| understand(answer, is_look, misbehaves));
    world.answer(request, &to, response.clone()).await;
    world.note(Source::Client(client), format!("was told {response:?}"));
    response
}

fn understand(answer: Result<Outcome<Register>, CommandError<TooLittle>>, is_look: bool, misbehaves: bool) -> Response {
    match answer {
        Ok(Outcome { version, reply, .. }) if is_look => Response::State { version: version.0, state: reply },
        Ok(Outcome { version, position, events, reply, repeated, .. }) => Response::Done(Done {
            version: version.0,
            position: position.map_or(0, |position| position.0),
            events: events.len(),
            state: Some(reply),
            repeated,
        }),
        Err(CommandError::Rejected(TooLittle { count })) => Response::Refused { version: count },
        Err(CommandError::VersionMismatch { actual, .. }) => Response::Refused { version: actual.0 },
        Err(CommandError::KeyReused) => Response::KeyReused,
        Err(CommandError::Panicked) if misbehaves => Response::Panicked,
        Err(CommandError::OutcomeUnknown) => Response::Unknown,
        Err(CommandError::KeyInFlight) => Response::Nothing("its key is in flight"),
        Err(CommandError::Undone) => Response::Nothing("undone"),
        Err(CommandError::Unavailable(_)) => Response::Nothing("unavailable"),
        Err(CommandError::Fenced) => Response::Nothing("fenced"),
        Err(CommandError::Draining) => Response::Nothing("draining"),
        Err(CommandError::Expired) => Response::Nothing("expired"),
        Err(CommandError::Restarting { .. }) => Response::Nothing("restarting"),
        Err(error) => Response::Nonsense(format!("{error:?}")),
    }
}

fn understand_state(answer: Result<VersionedState<Register>, QueryError>) -> Response {
    match answer {
        Ok(VersionedState { state, version, .. }) => Response::State { version: version.0, state },
        Err(QueryError::NotFound) => Response::Missing,
        Err(QueryError::Unavailable(_)) => Response::Nothing("unavailable"),
        Err(QueryError::Draining) => Response::Nothing("draining"),
        Err(QueryError::Expired) => Response::Nothing("expired"),
        Err(QueryError::Restarting { .. }) => Response::Nothing("restarting"),
        Err(error) => Response::Nonsense(format!("{error:?}")),
    }
}

pub(crate) async fn rest(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

/// Drops the future if it is not ready after this many polls.
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
