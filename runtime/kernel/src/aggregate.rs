//! What the author of a domain implements: an aggregate, its events, its rejections.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::id::AggregateId;
use crate::upcast::Upcasters;

/// A consistency boundary whose state is the fold of its events.
///
/// It is pure and synchronous: [`decide`](Self::decide) turns a command into events, and [`evolve`](Self::evolve)
/// applies them. `Default` is the state before the first event.
///
/// ```
/// use dormouse_kernel::{Aggregate, Context, DomainEvent, Given, Rejection};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
/// struct Account {
///     balance: u64,
/// }
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// enum AccountCommand {
///     Deposit { amount: u64 },
///     Withdraw { amount: u64 },
/// }
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
/// enum AccountEvent {
///     Deposited { amount: u64 },
///     Withdrawn { amount: u64 },
/// }
///
/// impl DomainEvent for AccountEvent {}
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the balance is {balance}")]
/// struct Overdrawn {
///     balance: u64,
/// }
///
/// impl Rejection for Overdrawn {
///     fn code(&self) -> &'static str {
///         "overdrawn"
///     }
/// }
///
/// impl Aggregate for Account {
///     const TYPE: &'static str = "account";
///     type Command = AccountCommand;
///     type Event = AccountEvent;
///     type Reply = u64;
///     type Rejection = Overdrawn;
///
///     fn decide(&self, command: AccountCommand, context: &mut Context<Self>) -> Result<u64, Overdrawn> {
///         match command {
///             AccountCommand::Deposit { amount } => context.emit(AccountEvent::Deposited { amount }),
///             AccountCommand::Withdraw { amount } if amount > self.balance => {
///                 return Err(Overdrawn { balance: self.balance });
///             }
///             AccountCommand::Withdraw { amount } => context.emit(AccountEvent::Withdrawn { amount }),
///         }
///         Ok(context.state().balance)
///     }
///
///     fn evolve(&mut self, event: &AccountEvent) {
///         match event {
///             AccountEvent::Deposited { amount } => self.balance += amount,
///             AccountEvent::Withdrawn { amount } => self.balance -= amount,
///         }
///     }
/// }
///
/// Given::<Account>::events([AccountEvent::Deposited { amount: 5 }])
///     .when(AccountCommand::Withdraw { amount: 3 })
///     .then([AccountEvent::Withdrawn { amount: 3 }])
///     .and_replies(&2);
/// ```
pub trait Aggregate: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stable name of the aggregate type, in URLs and in the journal: lower-case words with dashes.
    const TYPE: &'static str;

    /// Change it if a stored state would be read wrongly although its fields have the same names and types, or if
    /// events lead to another state than before. Snapshots with another version, or of a state of another shape, are
    /// ignored, and the events decide.
    const SNAPSHOT_VERSION: u32 = 1;

    /// The commands that no client may send, by their variants' names. Only the application itself sends them: another
    /// aggregate, a timer, a reactor, or its own code.
    const INTERNAL_COMMANDS: &'static [&'static str] = &[];

    /// An enum with one variant for each command. `CreateOrder` is `create-order` in URLs.
    type Command: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// An enum with one variant for each event.
    type Event: DomainEvent;

    /// What the caller gets back. `()` if there is nothing.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// Why a command may be rejected.
    type Rejection: Rejection;

    /// Decides a command on the current state. It emits events with [`Context::emit`].
    ///
    /// # Errors
    /// The rejection of the command. Events that were emitted before it do not happen.
    fn decide(&self, command: Self::Command, context: &mut Context<Self>) -> Result<Self::Reply, Self::Rejection>;

    /// Applies an event that happened. It must accept every event: history cannot be rejected.
    fn evolve(&mut self, event: &Self::Event);

    /// The subject to whom the aggregate with this id belongs. `None`: to nobody. A caller whose role may act only on its
    /// own (`own:` in the permissions) reaches only aggregates whose owner it is. The owner must follow from the events,
    /// and the first event must set it.
    fn owner<'a>(&'a self, id: &'a AggregateId) -> Option<&'a str> {
        let _nobody = id;
        None
    }

    /// The person whose data the [`Personal`](crate::Personal) values of this aggregate are: of its events, of the
    /// replies to its commands, and of the commands that it sends. Their data key is destroyed when that person is
    /// forgotten. The default is the aggregate itself, `learner/42`. Aggregates of the same person return the same text,
    /// for example what [`caller_as_data_subject`] makes of their owner. It must not change after the first event, and must not
    /// be personal itself.
    fn data_subject<'a>(&'a self, id: &'a AggregateId) -> Cow<'a, str> {
        format!("{}/{id}", Self::TYPE).into()
    }

    /// The JSON Schema of the state, for the description of the API. The default allows any value. A state that derives
    /// `JsonSchema` returns `generator.subschema_for::<Self>()`.
    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        let _none_needed = generator;
        true.into()
    }
}

/// A caller as the person whose data something is: `user/SUBJECT`. The runtime names callers like this when it stores what
/// they send, and aggregates that belong to a caller do so in [`Aggregate::data_subject`].
#[must_use]
pub fn caller_as_data_subject(subject: &str) -> String {
    format!("user/{subject}")
}

/// The events of an aggregate: an enum with one variant for each.
///
/// The variant's name as serde writes it is the stable name of the event. Its fields are stored by name.
pub trait DomainEvent: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The steps that turn events of older code into current ones.
    #[must_use]
    fn upcasters() -> Upcasters {
        Upcasters::new()
    }
}

/// A domain's rejection of a command. Its `Display` is for people, its code for programs.
pub trait Rejection: std::error::Error + Send + Sync + 'static {
    /// A stable code, lower-case words with dashes: `insufficient-stock`.
    fn code(&self) -> &'static str;
}

/// For aggregates that reject no command.
impl Rejection for std::convert::Infallible {
    fn code(&self) -> &'static str {
        match *self {}
    }
}
