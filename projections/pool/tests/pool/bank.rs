//! A domain, its projections, and an independent calculation of what their views must be. It folds a journal with code
//! that shares only the decoding of MessagePack with the product.

use std::collections::BTreeMap;

use dormouse_journal::{Journal, PageLimit};
use dormouse_kernel::{Aggregate, Context, DomainEvent, Position, decode};
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Account;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum AccountEvent {
    Deposited {
        amount: i64,
    },
    /// Concerns two documents.
    Transferred {
        to: String,
        amount: i64,
    },
    /// Removes the document.
    Closed {},
    /// Can be decoded, but not projected.
    Poison {
        defect: Defect,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Defect {
    /// The projection panics when it is asked for keys.
    PanicsOverKeys,
    /// The projection panics at the second of two documents, after the first has changed.
    PanicsHalfWay,
    /// The projection names a key that is not allowed.
    HasNoKey,
    /// The document cannot be written as JSON.
    CannotBeWritten,
    /// The document can be written as JSON, but no store accepts it.
    ContainsNul,
    /// The projection asks for the metadata, which are damaged.
    HasDamagedMetadata,
}

impl DomainEvent for AccountEvent {}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = AccountEvent;
    type Event = AccountEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, event: AccountEvent, context: &mut Context<Self>) -> Result<(), std::convert::Infallible> {
        context.emit(event);
        Ok(())
    }

    fn evolve(&mut self, _: &AccountEvent) {}
}

/// The balance of each account, with the events that led to it, in order.
pub(crate) struct Balances;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Balance {
    pub(crate) amount: i64,
    pub(crate) movements: u64,
    /// A hash over the positions of its events, in order.
    pub(crate) trail: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unwritable: Option<Unwritable>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
enum Unwritable {
    AsJson,
    InAnyStore,
}

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AsJson => Err(serde::ser::Error::custom("it is unwritable")),
            Self::InAnyStore => serializer.serialize_str("before\0behind"),
        }
    }
}

impl Balance {
    pub(crate) fn moved(&mut self, amount: i64, position: Position) {
        self.amount += amount;
        self.movements += 1;
        self.trail = trail(self.trail, position);
    }
}

pub(crate) fn trail(before: u64, position: Position) -> u64 {
    before.wrapping_mul(1_000_003).wrapping_add(position.0)
}

impl Projection for Balances {
    const NAME: &'static str = "balances";
    type Document = Balance;

    fn fields() -> Fields {
        Fields::none().integer("amount").integer("movements")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Account>()
    }
}

impl Project<Account> for Balances {
    fn keys(event: &Event<'_, Account>) -> Keys {
        match event.body() {
            AccountEvent::Transferred { to, .. } => Keys::one(event.id()).and(to.as_str()),
            AccountEvent::Poison { defect: Defect::PanicsOverKeys } => panic!("no keys for this one"),
            AccountEvent::Poison { defect: Defect::PanicsHalfWay } => Keys::one("shared").and(event.id()),
            AccountEvent::Poison { defect: Defect::HasNoKey } => Keys::one(event.id()).and(""),
            _ => Keys::one(event.id()),
        }
    }

    fn project(current: Option<Balance>, event: &Event<'_, Account>, key: &Key) -> Option<Balance> {
        let mut balance = current.unwrap_or_default();
        let is_own = key.as_str() == event.id().as_str();
        let amount = match event.body() {
            AccountEvent::Deposited { amount } => *amount,
            AccountEvent::Transferred { amount, .. } if is_own => -amount,
            AccountEvent::Transferred { amount, .. } => *amount,
            AccountEvent::Closed {} => return None,
            AccountEvent::Poison { defect: Defect::PanicsHalfWay } if is_own => panic!("half way"),
            AccountEvent::Poison { defect: Defect::CannotBeWritten } => {
                balance.unwritable = Some(Unwritable::AsJson);
                0
            }
            AccountEvent::Poison { defect: Defect::ContainsNul } => {
                balance.unwritable = Some(Unwritable::InAnyStore);
                0
            }
            AccountEvent::Poison { defect: Defect::HasDamagedMetadata } => {
                i64::from(event.metadata().subject.is_some())
            }
            AccountEvent::Poison { .. } => 0,
        };
        balance.moved(amount, event.position());
        Some(balance)
    }
}

/// One document for all events. `movements` equals the position if no event is missing and none is counted twice.
pub(crate) struct Everything;

impl Projection for Everything {
    const NAME: &'static str = "everything";
    type Document = Balance;

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Account>()
    }
}

impl Project<Account> for Everything {
    fn keys(_: &Event<'_, Account>) -> Keys {
        Keys::one("all")
    }

    fn project(current: Option<Balance>, event: &Event<'_, Account>, _: &Key) -> Option<Balance> {
        let mut all = current.unwrap_or_default();
        all.moved(0, event.position());
        Some(all)
    }
}

pub(crate) type Expected = BTreeMap<String, (Balance, Position)>;

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    amount: i64,
    #[serde(default)]
    to: Option<String>,
}

/// What [`Balances`] must contain if each aggregate stops at its first poison.
pub(crate) async fn balances(journal: &Journal) -> Expected {
    balances_until(journal, Position(u64::MAX)).await
}

/// The same, for the events up to a position.
pub(crate) async fn balances_until(journal: &Journal, until: Position) -> Expected {
    let mut expected = Expected::new();
    let mut stuck = std::collections::HashSet::new();
    let log = journal.read_log(Position::ZERO, PageLimit::ALL).await.unwrap();
    for event in log.into_iter().take_while(|event| event.position <= until) {
        let (id, position) = (event.aggregate.id.to_string(), event.position);
        if event.aggregate.aggregate_type.as_str() != "account" || stuck.contains(&id) {
            continue;
        }
        let name = event.event.event_type.as_ref();
        if !["Deposited", "Transferred", "Closed"].contains(&name) {
            stuck.insert(id);
            continue;
        }
        if name == "Closed" {
            expected.remove(&id);
            continue;
        }
        let Stored { amount, to } = decode(&event.event.payload).unwrap();
        let mut add = |id: String, amount: i64| {
            let (balance, changed) = expected.entry(id).or_default();
            balance.amount += amount;
            balance.movements += 1;
            balance.trail = trail(balance.trail, position);
            *changed = position;
        };
        match to {
            None => add(id, amount),
            Some(to) => {
                let is_other = to != id;
                add(id, -amount);
                if is_other {
                    add(to, amount);
                }
            }
        }
    }
    expected
}

/// What [`Everything`] must contain for a journal without poison.
pub(crate) fn everything(events: u64) -> Balance {
    let trail = (1..=events).fold(0, |before, position| trail(before, Position(position)));
    Balance { amount: 0, movements: events, trail, unwritable: None }
}
