//! What an author of a view writes: a [`Projection`], and a [`Project`] for each aggregate type.

use std::borrow::Cow;

use dormouse_encryption::{InvalidSubject, Subject};
use dormouse_kernel::{Aggregate, Event};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fields::Fields;
use crate::key::{Key, Keys};
use crate::sources::Sources;

/// Turns events of one or several aggregate types into JSON documents, each under a key.
///
/// A projection is pure and synchronous, like an aggregate: its documents follow from the events alone. It names the
/// aggregate types that it reads ([`sources`](Self::sources)), and implements [`Project`] for each of them.
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

    /// Raise it whenever this code would make other documents than those that are stored. The view is then rebuilt
    /// beside the old build, and readers get the old build unchanged until the new one has caught up.
    const VERSION: u32 = 1;

    /// The type of a document. Every document that events can make must be the same after it was written as JSON and
    /// read again. Not every version of a document is stored. So a value that serde skips is lost only at some events,
    /// and one that it cannot write fails only at some events.
    type Document: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// The fields that lists can be filtered and sorted by. They may change without a new [`VERSION`](Self::VERSION),
    /// unless a [`Personal`](dormouse_kernel::Personal) field is declared that was not.
    #[must_use]
    fn fields() -> Fields {
        Fields::none()
    }

    /// The aggregate types whose events it reads: `sources.of::<Order>().of::<Inventory>()`.
    #[must_use]
    fn sources(sources: Sources<Self>) -> Sources<Self>;

    /// The field with the subject to whom a document belongs: one of [`fields`](Self::fields), with text. A caller whose
    /// role may act only on its own (`own:` in the permissions) sees no other documents. Default: none, and such a
    /// caller sees no document.
    #[must_use]
    fn owner_field() -> Option<&'static str> {
        None
    }

    /// The person whose data the [`Personal`](dormouse_kernel::Personal) fields of a document are. They are stored
    /// encrypted with the key of this person, and are gone when the person is forgotten. It must be the same subject as
    /// that of the aggregate from which the data comes (`Aggregate::data_subject`). Otherwise forgetting does not reach
    /// the document. It must not depend on a personal field. An event is parked if its document has a text here that is
    /// no [`Subject`](dormouse_encryption::Subject). If this code changes for stored documents, raise
    /// [`VERSION`](Self::VERSION).
    ///
    /// Default: `<NAME>/<key>`.
    #[must_use]
    fn data_subject<'d>(key: &'d Key, _: &'d Self::Document) -> Cow<'d, str> {
        format!("{}/{key}", Self::NAME).into()
    }

    /// The name of the query for one document, in metrics and permissions. Default: `Get` and the projection's name in
    /// camel case, `GetOrderTotals`.
    #[must_use]
    fn query_one() -> Cow<'static, str> {
        format!("Get{}", camel_case(Self::NAME)).into()
    }

    /// The name of the query for a list. Default: `GetAll` and the projection's name in camel case,
    /// `GetAllOrderTotals`.
    #[must_use]
    fn query_all() -> Cow<'static, str> {
        format!("GetAll{}", camel_case(Self::NAME)).into()
    }
}

/// What a projection makes of the events of one aggregate type.
///
/// If a method panics, the batch is repeated a few times. Then the event and all later ones of its aggregate are parked
/// for this projection, in order, and the other aggregates continue. An operator can retry them, or skip the first one.
pub trait Project<A: Aggregate>: Projection {
    /// The keys of the documents that this event concerns.
    fn keys(event: &Event<'_, A>) -> Keys;

    /// The next version of the document under `key`, which is one of [`keys`](Self::keys). `current` is the version
    /// that the earlier events made. `None` removes the document.
    fn project(current: Option<Self::Document>, event: &Event<'_, A>, key: &Key) -> Option<Self::Document>;
}

/// The subject of a document, if [`data_subject`](Projection::data_subject) names one.
pub(crate) fn subject_of<P: Projection>(key: &Key, document: &P::Document) -> Result<Subject, InvalidSubject> {
    Subject::new(P::data_subject(key, document))
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
