//! Tries out all orders in which messages can be delivered and timers can fire, and counts the money after each step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dormouse::{Message, Timestamp, Version};
use dormouse_kernel::{SequentialIds, decode};

use super::Stage::{Depositing, GivingUp, RefundDelayed, Refunding, Withdrawing};
use super::*;

/// More than there are: a transfer that sends messages without end makes the test fail, and not the memory.
const WORLDS_MAX: usize = 50_000;

#[test]
fn a_transfer_neither_makes_nor_loses_money_whatever_happens() {
    let (ada, bob, rich) = (("ada", 50), ("bob", 0), ("rich", u64::MAX));
    let is = |ends: BTreeSet<String>, expected: &[&str]| assert!(ends.iter().eq(expected), "{ends:?}");
    is(ends(&[ada, bob], [("ada", "bob", 20)]), &["Completed", "Refunded"]);
    is(ends(&[ada, bob], [("ada", "bob", 51)]), &["Failed"]);
    is(ends(&[bob], [("ada", "bob", 20)]), &["Failed"]);
    is(ends(&[ada], [("ada", "nobody", 20)]), &["Refunded"]);
    is(ends(&[ada, rich], [("ada", "rich", 20)]), &["Refunded"]);
    is(ends(&[ada], [("ada", "ada", 20)]), &["Completed", "Refunded"]);
    // Ada becomes too rich for her refund.
    let both = ends(&[ada, rich], [("ada", "nobody", 50), ("rich", "ada", u64::MAX)]);
    assert!(both.contains("RefundDelayed Completed") && both.contains("Refunded Refunded"), "{both:?}");
    let three = ends(&[ada, bob], [("ada", "bob", 40), ("bob", "ada", 30), ("ada", "bob", 50)]);
    assert!(three.contains("Completed Completed Failed") && three.contains("Failed Failed Completed"), "{three:?}");
}

/// Accounts and transfers, and the messages on their way.
#[derive(Clone, Debug, Default)]
struct World {
    accounts: BTreeMap<AggregateId, Account>,
    transfers: BTreeMap<AggregateId, Transfer>,
    /// Messages of the same queue are delivered in order.
    sent: BTreeMap<String, VecDeque<Message>>,
}

impl World {
    /// The world after a message is delivered.
    fn after(mut self, Message { to, on_refused }: Message) -> Self {
        let id = to.aggregate().id;
        let sent = match to.aggregate_type().as_str() {
            Account::TYPE => decide(self.accounts.entry(id.clone()).or_default(), &id, to.command()),
            _ => decide(self.transfers.entry(id.clone()).or_default(), &id, to.command()),
        };
        // The messages of a sender are delivered in order. A refusal comes back at any time.
        let refusal = || on_refused.map(|to| Message { to, on_refused: None }).into_iter().collect();
        let (queue, messages) =
            sent.map_or_else(|| (format!("{to:?} refused"), refusal()), |sent| (id.to_string(), sent));
        self.sent.entry(queue).or_default().extend(messages);
        self
    }

    /// All worlds that can come next: a message is delivered, or a timer fires.
    fn next(&self) -> Vec<Self> {
        let deliver = |queue: &String| {
            let mut world = self.clone();
            let message = world.sent.get_mut(queue)?.pop_front()?;
            Some(world.after(message))
        };
        let time_up = |id| self.clone().after(Message::to::<Transfer>(id, TransferCommand::TimeUp));
        self.sent.keys().filter_map(deliver).chain(self.transfers.keys().map(time_up)).collect()
    }
}

fn decide<A: Aggregate>(state: &mut A, id: &AggregateId, command: &[u8]) -> Option<Vec<Message>> {
    let ids = SequentialIds::default();
    let mut context = Context::new(id, state, Version::ZERO, Timestamp::UNIX_EPOCH, &ids);
    state.decide(decode(command).unwrap(), &mut context).ok()?;
    let effects = context.into_effects().unwrap();
    effects.events.iter().for_each(|event| state.evolve(event));
    Some(effects.outgoing.messages)
}

/// All ends of these transfers. Checks that no order of messages and timers makes or loses money, or leaves a transfer
/// without an end.
fn ends<const N: usize>(accounts: &[(&str, u64)], transfers: [(&str, &str, u64); N]) -> BTreeSet<String> {
    let (id, mut world) = (|id: &str| AggregateId::new(id).unwrap(), World::default());
    let open = |&(name, balance): &(&str, u64)| (id(name), Account { owner: Some(name.to_owned()), balance });
    world.accounts.extend(accounts.iter().map(open));
    for (number, (from, to, amount)) in transfers.into_iter().enumerate() {
        let start = TransferCommand::Start(TransferOrder { from: id(from), to: id(to), amount });
        world = world.after(Message::to::<Transfer>(format!("t-{number}"), start));
    }
    let all: u128 = accounts.iter().map(|(_, balance)| u128::from(*balance)).sum();
    let (mut seen, mut ends, mut worlds) = (BTreeSet::new(), BTreeSet::new(), VecDeque::from([world]));
    while let Some(world) = worlds.pop_front() {
        if seen.insert(format!("{world:?}")) {
            assert!(seen.len() < WORLDS_MAX, "the messages do not come to an end: {world:?}");
            worlds.extend(world.next());
            let money: u128 = world.accounts.values().map(|account| u128::from(account.balance)).sum();
            assert!(money <= all, "money was made: {world:?}");
            if world.sent.values().all(VecDeque::is_empty) {
                let delayed = world.transfers.values().filter(|one| matches!(one.stage, RefundDelayed));
                let kept: u128 = delayed.map(|one| u128::from(one.order.as_ref().unwrap().amount)).sum();
                assert_eq!(money + kept, all, "money was lost: {world:?}");
                let waits = |one: &Transfer| matches!(one.stage, Withdrawing | GivingUp | Depositing | Refunding);
                assert!(!world.transfers.values().any(waits), "a transfer waits for ever: {world:?}");
                let stages = world.transfers.values().map(|one| format!("{:?}", one.stage));
                ends.insert(stages.collect::<Vec<_>>().join(" "));
            }
        }
    }
    ends
}
