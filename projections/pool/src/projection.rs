//! What a user writes: a projection, and what it makes of the events of each aggregate type.

use std::borrow::Cow;

use dormouse_kernel::Aggregate;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::Event;
use crate::fields::Fields;
use crate::key::{Key, Keys};
use crate::sources::Sources;

/// Turns events of one or several aggregate types into JSON documents, each under a key.
///
/// It is pure and synchronous, like an aggregate: what a document is follows from the events alone. It says where the
/// events come from ([`sources`](Self::sources)), and implements [`Project`] for each of these types.
///
/// ```
/// use dormouse_kernel::Aggregate;
/// # use dormouse_kernel::{Context, DomainEvent};
/// use dormouse_projections::{Event, Fields, Given, Key, Keys, Project, Projection, Sources};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Default, Serialize, Deserialize)]
/// # struct Account;
/// # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
/// # enum AccountEvent { Deposited { amount: u64 }, Withdrawn { amount: u64 }, Closed {} }
/// # impl DomainEvent for AccountEvent {}
/// # impl Aggregate for Account {
/// #     const TYPE: &'static str = "account";
/// #     type Command = AccountEvent;
/// #     type Event = AccountEvent;
/// #     type Reply = ();
/// #     type Rejection = std::convert::Infallible;
/// #     fn decide(&self, _: AccountEvent, _: &mut Context<Self>) -> Result<(), std::convert::Infallible> { Ok(()) }
/// #     fn evolve(&mut self, _: &AccountEvent) {}
/// # }
///
/// /// What is in each account.
/// struct Balances;
///
/// #[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
/// struct Balance {
///     amount: u64,
///     movements: u32,
/// }
///
/// impl Projection for Balances {
///     const NAME: &'static str = "balances";
///     type Document = Balance;
///
///     fn fields() -> Fields {
///         Fields::none().integer("amount")
///     }
///
///     fn sources(sources: Sources<Self>) -> Sources<Self> {
///         sources.of::<Account>()
///     }
/// }
///
/// impl Project<Account> for Balances {
///     fn keys(event: &Event<'_, Account>) -> Keys {
///         Keys::one(event.id())
///     }
///
///     fn project(current: Option<Balance>, event: &Event<'_, Account>, _: &Key) -> Option<Balance> {
///         let mut balance = current.unwrap_or_default();
///         match event.body() {
///             AccountEvent::Deposited { amount } => balance.amount += amount,
///             AccountEvent::Withdrawn { amount } => balance.amount -= amount,
///             AccountEvent::Closed {} => return None,
///         }
///         balance.movements += 1;
///         Some(balance)
///     }
/// }
///
/// Given::<Balances>::nothing()
///     .when::<Account>("a-1", [AccountEvent::Deposited { amount: 5 }, AccountEvent::Withdrawn { amount: 2 }])
///     .then("a-1", &Balance { amount: 3, movements: 2 })
///     .when::<Account>("a-1", [AccountEvent::Closed {}])
///     .then_gone("a-1");
/// ```
pub trait Projection: Send + Sync + Sized + 'static {
    /// The stable name of the view, in URLs and in its table (`view_<name>`): lower-case words with dashes.
    const NAME: &'static str;

    /// Raise it whenever the documents that are stored are no longer those that this code would make: the view is built
    /// anew beside the old one, which readers get, as it is, until the new one has come as far.
    const VERSION: u32 = 1;

    /// What is kept under a key. Whatever the events make of it must come back from JSON as it was: not every version of
    /// a document is stored, so what serde skips or cannot write is lost, or noticed, at some moment, but not at each.
    type Document: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// What lists can be filtered and sorted by. They may change without a new [`VERSION`](Self::VERSION).
    #[must_use]
    fn fields() -> Fields {
        Fields::none()
    }

    /// The aggregate types whose events it reads: `sources.of::<Order>().of::<Inventory>()`.
    #[must_use]
    fn sources(sources: Sources<Self>) -> Sources<Self>;

    /// What reading one document is called, in metrics and permissions. Default: `Get` and the name in camel case,
    /// `GetOrderTotals`.
    #[must_use]
    fn query_one() -> Cow<'static, str> {
        format!("Get{}", camel_case(Self::NAME)).into()
    }

    /// What reading a list is called. Default: `GetAll` and the name in camel case, `GetAllOrderTotals`.
    #[must_use]
    fn query_all() -> Cow<'static, str> {
        format!("GetAll{}", camel_case(Self::NAME)).into()
    }
}

/// What a projection makes of the events of one aggregate type.
///
/// If one of these panics, it is tried again, a few times; then the event and all later ones of its aggregate are parked
/// for this projection, in order, and the rest goes on. An operator can have them tried again, or the first one skipped.
pub trait Project<A: Aggregate>: Projection {
    /// The documents that this event concerns.
    fn keys(event: &Event<'_, A>) -> Keys;

    /// The next version of the document under `key`, which is one of those that [`keys`](Self::keys) named. `current`
    /// is what the events before made of it. `None`: there is no such document any more.
    fn project(current: Option<Self::Document>, event: &Event<'_, A>, key: &Key) -> Option<Self::Document>;
}

/// `order-totals` as `OrderTotals`.
fn camel_case(name: &str) -> String {
    let capitalized = |word: &str| {
        let mut characters = word.chars();
        characters.next().map(|first| first.to_ascii_uppercase().to_string() + characters.as_str())
    };
    name.split('-').filter_map(capitalized).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_camel_case_has_its_words_without_dashes() {
        for (name, expected) in [("orders", "Orders"), ("order-totals", "OrderTotals"), ("by-2nd-v3", "By2ndV3")] {
            assert_eq!(camel_case(name), expected);
        }
    }
}
