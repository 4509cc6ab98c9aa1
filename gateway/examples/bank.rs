//! A complete application: accounts that are never overdrawn, and transfers between them that never lose money.
//!
//! ```text
//! cargo run -p dormouse --example bank
//! curl http://127.0.0.1:8080/v1/account/ada/open -d '{"owner": "Ada"}'
//! curl http://127.0.0.1:8080/v1/account/ada/deposit -d '{"amount": 50}'
//! curl --globoff 'http://127.0.0.1:8080/v1/views/balances?filter[balance][gte]=10&sort=-balance'
//! curl http://127.0.0.1:8080/v1/account/bob/open -d '{"owner": "Bob"}'
//! curl http://127.0.0.1:8080/v1/transfer/t-1/start -d '{"from": "ada", "to": "bob", "amount": 20}'
//! curl http://127.0.0.1:8080/v1/transfer/t-1
//! ```

use std::process::ExitCode;
use std::time::Duration;

use dormouse::{After, Aggregate, AggregateId, App, Context, DomainEvent, Rejection};
use dormouse::{Event, Fields, Key, Keys, Project, Projection, Sources};
use dormouse::{Failure, Handle, Handler, HandlerSources, Job};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn main() -> ExitCode {
    App::new("bank").aggregate::<Account>().aggregate::<Transfer>().projection::<Balances>().handler(Notices).run()
}

/// An account. Amounts are in cents.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Account {
    owner: Option<String>,
    balance: u64,
}

/// What can be asked of it: `Deposit` is reached as `POST /v1/account/{id}/deposit`.
#[derive(Serialize, Deserialize, JsonSchema)]
enum AccountCommand {
    Open { owner: String },
    Deposit { amount: u64 },
    Withdraw { amount: u64 },
    TransferIn(Movement),
    TransferOut(Movement),
}

/// Transfers send it, and wait for the answer.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Movement {
    amount: u64,
    #[schemars(with = "String")]
    transfer: AggregateId,
}

/// What can happen to it. These names are stored: they are for ever.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum AccountEvent {
    Opened { owner: String },
    Deposited { amount: u64 },
    Withdrawn { amount: u64 },
}

impl DomainEvent for AccountEvent {}

/// Why an account or a transfer may refuse.
#[derive(Debug, thiserror::Error)]
enum BankRejection {
    #[error("the account is open already")]
    AlreadyOpen,
    #[error("the account has not been opened")]
    NotOpen,
    #[error("the balance is {balance}")]
    InsufficientFunds { balance: u64 },
    #[error("the amount is too large")]
    TooMuch,
    #[error("the transfer has been started already")]
    AlreadyStarted,
    #[error("the transfer has not been started")]
    NotStarted,
}

impl Rejection for BankRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyOpen => "already-open",
            Self::NotOpen => "not-open",
            Self::InsufficientFunds { .. } => "insufficient-funds",
            Self::TooMuch => "too-much",
            Self::AlreadyStarted => "already-started",
            Self::NotStarted => "not-started",
        }
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    /// Clients cannot send them: they would move money without a transfer that knows about it.
    const INTERNAL_COMMANDS: &'static [&'static str] = &["TransferIn", "TransferOut"];
    type Command = AccountCommand;
    type Event = AccountEvent;
    /// The balance afterwards.
    type Reply = u64;
    type Rejection = BankRejection;

    fn decide(&self, command: AccountCommand, context: &mut Context<Self>) -> Result<u64, BankRejection> {
        use AccountCommand::{Deposit, Open, TransferIn, TransferOut, Withdraw};
        use AccountEvent::{Deposited, Opened, Withdrawn};
        let balance = self.balance;
        let (event, transfer) = match command {
            Open { .. } if self.owner.is_some() => return Err(BankRejection::AlreadyOpen),
            Open { owner } => (Opened { owner }, None),
            _ if self.owner.is_none() => return Err(BankRejection::NotOpen),
            Deposit { amount } => (Deposited { amount }, None),
            Withdraw { amount } => (Withdrawn { amount }, None),
            TransferIn(Movement { amount, transfer }) => (Deposited { amount }, Some(transfer)),
            TransferOut(Movement { amount, transfer }) => (Withdrawn { amount }, Some(transfer)),
        };
        match event {
            Deposited { amount } if balance.checked_add(amount).is_none() => return Err(BankRejection::TooMuch),
            Withdrawn { amount } if amount > balance => return Err(BankRejection::InsufficientFunds { balance }),
            event => context.emit(event),
        }
        if let Some(transfer) = transfer {
            context.send::<Transfer>(transfer, TransferCommand::Confirm);
        }
        Ok(context.state().balance)
    }

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { amount } => self.balance += amount,
            AccountEvent::Withdrawn { amount } => self.balance -= amount,
        }
    }
}

/// A transfer between two accounts: a process manager. It asks one account at a time, and waits for the answer before it
/// asks again. A message is delivered exactly once, and is accepted or refused, so each answer comes, and says where the
/// money is. The timer does not guess that: it only decides what the transfer will do with the answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Transfer {
    order: Option<TransferOrder>,
    stage: Stage,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct TransferOrder {
    #[schemars(with = "String")]
    from: AggregateId,
    #[schemars(with = "String")]
    to: AggregateId,
    amount: u64,
}

/// What a transfer waits for, or how it ended.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
enum Stage {
    /// `from` is asked for the money.
    #[default]
    Withdrawing,
    /// The same, but it takes too long. If the money still comes, it goes back.
    GivingUp,
    /// `to` is asked to take the money.
    Depositing,
    /// `from` is asked to take the money back.
    Refunding,
    /// `from` was too rich to take it back. The transfer keeps the money, and asks again later.
    RefundDelayed,
    Completed,
    Refunded,
    /// `from` has refused: no money has moved.
    Failed,
}

/// Clients send `Start`. Accounts and the timer send the others.
#[derive(Serialize, Deserialize, JsonSchema)]
enum TransferCommand {
    Start(TransferOrder),
    Confirm,
    Refuse,
    TimeUp,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum TransferEvent {
    Started { order: TransferOrder },
    Reached { stage: Stage },
}

impl DomainEvent for TransferEvent {}

impl Aggregate for Transfer {
    const TYPE: &'static str = "transfer";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["Confirm", "Refuse", "TimeUp"];
    type Command = TransferCommand;
    type Event = TransferEvent;
    type Reply = Stage;
    type Rejection = BankRejection;

    fn decide(&self, command: TransferCommand, context: &mut Context<Self>) -> Result<Stage, BankRejection> {
        use Stage::{Completed, Depositing, Failed, GivingUp, RefundDelayed, Refunded, Refunding, Withdrawing};
        use TransferCommand::{Confirm, Refuse, Start, TimeUp};
        use TransferEvent::{Reached, Started};
        context.emit(match (&self.order, self.stage, command) {
            (Some(_), _, Start(_)) => return Err(BankRejection::AlreadyStarted),
            (None, _, Start(order)) => Started { order },
            (None, ..) => return Err(BankRejection::NotStarted),
            (_, Withdrawing, Confirm) => Reached { stage: Depositing },
            (_, Withdrawing, TimeUp) => Reached { stage: GivingUp },
            (_, Withdrawing | GivingUp, Refuse) => Reached { stage: Failed },
            (_, GivingUp, Confirm) => Reached { stage: Refunding },
            (_, Depositing, Confirm) => Reached { stage: Completed },
            (_, Depositing, Refuse) | (_, RefundDelayed, TimeUp) => Reached { stage: Refunding },
            (_, Refunding, Confirm) => Reached { stage: Refunded },
            (_, Refunding, Refuse) => Reached { stage: RefundDelayed },
            // Nothing waits for it.
            (_, stage, _) => return Ok(stage),
        });
        let Self { stage, order } = context.state().clone();
        let TransferOrder { from, to, amount } = order.ok_or(BankRejection::NotStarted)?;
        let movement = Movement { amount, transfer: context.id().clone() };
        match stage {
            Withdrawing => {
                context.send::<Account>(from, AccountCommand::TransferOut(movement)).on_refused(Refuse);
                context.schedule("time-up", After(Duration::from_secs(30)), TimeUp);
            }
            Depositing => {
                context.cancel("time-up");
                context.send::<Account>(to, AccountCommand::TransferIn(movement)).on_refused(Refuse);
            }
            Refunding => context.send::<Account>(from, AccountCommand::TransferIn(movement)).on_refused(Refuse),
            RefundDelayed => context.schedule("time-up", After(Duration::from_secs(3600)), TimeUp),
            Failed => context.cancel("time-up"),
            GivingUp | Completed | Refunded => {}
        }
        Ok(stage)
    }

    fn evolve(&mut self, event: &TransferEvent) {
        match event {
            TransferEvent::Started { order } => self.order = Some(order.clone()),
            TransferEvent::Reached { stage } => self.stage = *stage,
        }
    }
}

/// The balance of each account, for `GET /v1/views/balances`.
struct Balances;

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Balance {
    owner: String,
    balance: u64,
}

impl Projection for Balances {
    const NAME: &'static str = "balances";
    type Document = Balance;

    fn fields() -> Fields {
        Fields::none().text("owner").integer("balance")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Account>()
    }
}

impl Project<Account> for Balances {
    fn keys(event: &Event<'_, Account>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<Balance>, event: &Event<'_, Account>, _: &Key) -> Option<Balance> {
        let Balance { owner, balance } = current.unwrap_or_default();
        Some(match event.body() {
            AccountEvent::Opened { owner } => Balance { owner: owner.clone(), balance },
            AccountEvent::Deposited { amount } => Balance { owner, balance: balance + amount },
            AccountEvent::Withdrawn { amount } => Balance { owner, balance: balance - amount },
        })
    }
}

/// Tells about each movement: here in the server's log, in a real bank by letter.
#[derive(Clone)]
struct Notices;

impl Handler for Notices {
    const NAME: &'static str = "notices";

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Account>()
    }
}

impl Handle<Account> for Notices {
    /// It is called at least once for each event, always with the same key: by the key, a post office knows a letter that
    /// it has already. If it returns an error, it is called again later.
    async fn handle(&self, event: &Event<'_, Account>, job: &Job) -> Result<(), Failure> {
        eprintln!("notice {} to {}: {:?}", job.key(), event.id(), event.body());
        Ok(())
    }
}

#[cfg(test)]
#[path = "bank/interleavings.rs"]
mod interleavings;

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse::{ExpectedTimer, Given, Message};

    #[test]
    fn an_account_is_never_overdrawn() {
        let opened = AccountEvent::Opened { owner: "Ada".to_owned() };
        let given = || Given::<Account>::events([opened, AccountEvent::Deposited { amount: 50 }]);
        given().when(AccountCommand::Withdraw { amount: 51 }).then_rejected("insufficient-funds");
    }

    #[test]
    fn a_transfer_asks_for_the_money_and_sets_a_timer() {
        let id = |id: &str| AggregateId::new(id).unwrap();
        let withdraw = AccountCommand::TransferOut(Movement { amount: 20, transfer: id("t-1") });
        Given::<Transfer>::nothing()
            .with_id("t-1")
            .when(TransferCommand::Start(TransferOrder { from: id("ada"), to: id("bob"), amount: 20 }))
            .then_sent([Message::to::<Account>("ada", withdraw).on_refused::<Transfer>("t-1", TransferCommand::Refuse)])
            .then_scheduled([ExpectedTimer::set("time-up", After(Duration::from_secs(30)), TransferCommand::TimeUp)]);
    }
}
