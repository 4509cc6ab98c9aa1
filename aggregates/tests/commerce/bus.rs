//! A shop without a server: orders, inventories, and the messages between them.
//!
//! The messages of one sender are delivered in order, each exactly once. The order between senders is up to the test.
//! A refusal may come back at any time.

use std::collections::{BTreeMap, VecDeque};

use dormouse_aggregates::commerce::{Inventory, InventoryCommand, Order, OrderCommand};
use dormouse_kernel::{
    AddressedCommand, Aggregate, AggregateId, AggregateRef, AggregateType, Context, Message, Refusal, Rejection,
    SequentialIds, Timestamp, Version, decode,
};

/// The aggregates, and what is on its way between them.
#[derive(Default)]
pub(crate) struct Shop {
    pub(crate) orders: BTreeMap<AggregateId, Order>,
    pub(crate) inventories: BTreeMap<AggregateId, Inventory>,
    /// What each sender has sent. A queue is removed when it is empty.
    sent: BTreeMap<AggregateRef, VecDeque<Message>>,
    /// The answers to refused messages, in no order.
    refused: Vec<(AddressedCommand, Refusal)>,
}

impl Shop {
    /// A command of a client to an order. The refusal's code, if there is one.
    pub(crate) fn order(&mut self, id: &str, command: OrderCommand) -> Result<(), String> {
        let id = AggregateId::new(id).expect("an id");
        let messages = decide(self.orders.entry(id.clone()).or_default(), &id, command, None);
        self.send::<Order>(&id, messages)
    }

    /// A command of a client to an inventory.
    pub(crate) fn inventory(&mut self, sku: &str, command: InventoryCommand) -> Result<(), String> {
        let id = AggregateId::new(sku).expect("an id");
        let messages = decide(self.inventories.entry(id.clone()).or_default(), &id, command, None);
        self.send::<Inventory>(&id, messages)
    }

    /// Delivers one message. `choice` selects the sender, or a refusal. `false` if nothing is on its way.
    pub(crate) fn deliver(&mut self, choice: usize) -> bool {
        let ways = self.sent.len() + self.refused.len();
        let Some(choice) = choice.checked_rem(ways) else { return false };
        if choice >= self.sent.len() {
            let (command, refusal) = self.refused.swap_remove(choice - self.sent.len());
            self.hand_over(&command, Some(&refusal)).expect("the sender takes its answer");
            return true;
        }
        let mut queue = self.sent.iter_mut().nth(choice).map(|(_, queue)| queue);
        let message = queue.as_mut().and_then(|queue| queue.pop_front()).expect("no queue is empty");
        self.sent.retain(|_, queue| !queue.is_empty());
        match (self.hand_over(&message.to, None), message.on_refused) {
            (Ok(()), _) => {}
            (Err(code), Some(answer)) => self.refused.push((answer, Refusal { detail: code.clone(), code })),
            (Err(code), None) => panic!("{:?} was refused: {code}", message.to),
        }
        true
    }

    /// Delivers all messages, and those that they cause, in the order of `choices`, again and again.
    pub(crate) fn deliver_all(&mut self, choices: &[usize]) {
        let mut choices = choices.iter().cycle();
        while self.deliver(choices.next().copied().unwrap_or_default()) {}
    }

    fn hand_over(&mut self, command: &AddressedCommand, refusal: Option<&Refusal>) -> Result<(), String> {
        let AggregateRef { aggregate_type, id, .. } = command.aggregate();
        match aggregate_type.as_str() {
            Order::TYPE => {
                let command = decode(command.command()).expect("a command of an order");
                let messages = decide(self.orders.entry(id.clone()).or_default(), &id, command, refusal);
                self.send::<Order>(&id, messages)
            }
            Inventory::TYPE => {
                let command = decode(command.command()).expect("a command of an inventory");
                let messages = decide(self.inventories.entry(id.clone()).or_default(), &id, command, refusal);
                self.send::<Inventory>(&id, messages)
            }
            other => panic!("a message to {other}"),
        }
    }

    fn send<A: Aggregate>(
        &mut self,
        sender: &AggregateId,
        messages: Result<Vec<Message>, String>,
    ) -> Result<(), String> {
        let messages = messages?;
        if !messages.is_empty() {
            let sender = AggregateRef::new(AggregateType::new(A::TYPE).expect("a type"), sender.clone());
            self.sent.entry(sender).or_default().extend(messages);
        }
        Ok(())
    }
}

/// Carries a command out. Returns what it sends, or the code of its rejection.
fn decide<A: Aggregate>(
    state: &mut A,
    id: &AggregateId,
    command: A::Command,
    refusal: Option<&Refusal>,
) -> Result<Vec<Message>, String> {
    let ids = SequentialIds::default();
    let mut context = Context::new(id, state, Version::ZERO, Timestamp::UNIX_EPOCH, &ids).with_refusal(refusal);
    state.decide(command, &mut context).map_err(|rejection| rejection.code().to_owned())?;
    let effects = context.into_effects().expect("what is sent is valid");
    effects.events.iter().for_each(|event| state.evolve(event));
    Ok(effects.outgoing.messages)
}
