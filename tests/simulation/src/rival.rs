//! Rivals append directly to the journal, all to the same aggregate. Each assumes a version, and only the journal's
//! writer prevents conflicts.

use std::sync::{Arc, Mutex};

use dormouse_engine::Expected;
use dormouse_faults::Dice;
use dormouse_journal::{Append, AppendError, AppendKey, Journal, PageLimit, ReadError};
use dormouse_kernel::{AggregateRef, Chain, Clock, CommandKey, EventId, IdSource, Metadata, NewEvent, Version, encode};

use crate::checker::LoggedEvent;
use crate::client::rest;
use crate::cluster::{Cluster, Node, reference};
use crate::history::{Done, Name, Request, Response};
use crate::run::World;
use crate::trace::Source;

const CONTESTED: Name = Name("contested", "x");

/// The state of a rival. It survives the process that the rival talks to.
#[derive(Debug)]
pub(crate) struct Rival {
    number: usize,
    dice: Dice,
    left: u32,
    named: u32,
    /// A command whose outcome is not known, and its number of events.
    pending: Option<(String, usize)>,
    /// The version that it assumes. It does not look it up before each append.
    believes: Option<(Version, Chain)>,
}

impl Rival {
    pub(crate) fn new(number: usize, seed: u64, steps: u32) -> Arc<Mutex<Self>> {
        let dice = Dice::new(seed);
        Arc::new(Mutex::new(Self { number, dice, left: steps, named: 0, pending: None, believes: None }))
    }

    pub(crate) fn has_finished(&self) -> bool {
        self.left == 0 && self.pending.is_none()
    }

    fn next(&mut self) -> Option<(String, usize)> {
        if self.pending.is_none() {
            self.left = self.left.checked_sub(1)?;
            self.named += 1;
            let events = self.dice.pick(&[1, 1, 3]);
            self.pending = Some((format!("{}-{}", self.number, self.named), events));
        }
        self.pending.clone()
    }
}

/// Continues the appends of the rival until all are done.
pub(crate) async fn go_on(rival: Arc<Mutex<Rival>>, cluster: Arc<Cluster>, world: Arc<World>) {
    let number = rival.lock().unwrap().number;
    let mut node = cluster.current();
    loop {
        let pause = rival.lock().unwrap().dice.pick(&[0, 0, 1, 10]);
        rest(pause).await;
        let Some((name, events)) = rival.lock().unwrap().next() else { return };
        node = cluster.after(&node);
        let believed = rival.lock().unwrap().believes;
        let (version, chain) = match believed {
            Some(believed) => believed,
            None => match look(&node.journal).await {
                Ok(found) => found,
                Err(damaged @ ReadError::Damaged { .. }) => return world.report(damaged.to_string()),
                Err(ReadError::Unavailable(_)) => {
                    rest(world.until_turn_of(number)).await;
                    node = cluster.current();
                    continue;
                }
            },
        };
        let append = compose(&node, &world, &name, events, version, chain);
        let last = append.events.last().map_or(chain, |event| event.chain);
        let expected = append.expected;
        world.note(Source::Client(number), format!("appends {name} behind {expected} at node {}", node.number));
        let request = Request::Command { name, expected: Expected::Exactly(expected), steals_key: false };
        let request = world.send(node.number, CONTESTED, request);
        let appended = node.journal.append(append).await;
        let mut believes = None;
        let response = match appended {
            Ok(committed) => {
                believes = Some((committed.version, last));
                let (version, position) = (committed.version.0, committed.last.0);
                Response::Done(Done { version, position, events, state: None, repeated: false })
            }
            Err(AppendError::KnownKey { first }) => {
                let done = done_before(&node.journal, first, events).await;
                done.map_or(Response::Unknown, Response::Done)
            }
            Err(AppendError::VersionConflict { .. }) => Response::Nothing("another version"),
            Err(AppendError::PredecessorFailed) => Response::Nothing("undone"),
            Err(AppendError::Fenced) => Response::Nothing("fenced"),
            Err(AppendError::Unavailable(_)) => Response::Nothing("unavailable"),
            // The writer may have panicked on this append.
            Err(AppendError::Closed) => Response::Unknown,
            Err(error) => Response::Nonsense(format!("{error:?}")),
        };
        world.answer(request, &CONTESTED, response.clone()).await;
        world.note(Source::Client(number), format!("was told {response:?}"));
        {
            let mut rival = rival.lock().unwrap();
            rival.believes = believes;
            if response.is_final() {
                rival.pending = None;
            }
        }
        if let Response::Nothing(_) | Response::Unknown = response {
            rest(world.until_turn_of(number)).await;
            node = cluster.current();
        }
    }
}

/// Version and chain of the contested aggregate.
async fn look(journal: &Journal) -> Result<(Version, Chain), ReadError> {
    let events = journal.history(&contested(), Version::ZERO, PageLimit::ALL).await?;
    Ok(events.last().map_or((Version::ZERO, Chain::ROOT), |last| (last.version, last.event.chain)))
}

/// The outcome of the command's first attempt.
async fn done_before(journal: &Journal, first: Version, events: usize) -> Option<Done> {
    let before = Version(first.0 - 1);
    let recorded = journal.history(&contested(), before, PageLimit::events(events)).await.ok()?;
    let last = recorded.last()?;
    let (version, position) = (last.version.0, last.position.0);
    Some(Done { version, position, events: recorded.len(), state: None, repeated: true })
}

fn contested() -> AggregateRef {
    reference(&CONTESTED)
}

fn compose(node: &Node, world: &World, name: &str, count: usize, expected: Version, mut chain: Chain) -> Append {
    let now = Clock::now(&world.time);
    let key = CommandKey::new(name).unwrap();
    let mut events = Vec::new();
    let parts = count as u32;
    for part in 0..parts {
        let metadata = Metadata {
            event_id: EventId(node.ids.next(now)),
            correlation: None,
            causation: None,
            subject: None,
            tenant: None,
            traceparent: None,
            outgoing: None,
            command: None,
        };
        let mut event = NewEvent {
            event_type: "Noted".into(),
            schema_version: 1,
            payload: rmp_serde::to_vec_named(&LoggedEvent { command: name.to_owned(), number: 1, part, parts })
                .unwrap(),
            metadata: encode(&metadata).unwrap(),
            recorded_at: now,
            chain,
        };
        let first_key = Some(&key).filter(|_| part == 0);
        chain = chain.next(&contested(), expected.plus(u64::from(part) + 1), first_key, &event);
        event.chain = chain;
        events.push(event);
    }
    Append { aggregate: contested(), expected, key: Some(AppendKey { key, known_new: false }), events }
}
