//! A complete application: accounts that are opened, filled and emptied, and never overdrawn.
//!
//! ```text
//! cargo run -p dormouse --example bank
//! curl http://127.0.0.1:8080/v1/account/ada/open -d '{"owner": "Ada"}'
//! curl http://127.0.0.1:8080/v1/account/ada/deposit -d '{"amount": 50}'
//! curl --globoff 'http://127.0.0.1:8080/v1/views/balances?filter[balance][gte]=10&sort=-balance'
//! ```

use std::process::ExitCode;

use dormouse::{Aggregate, App, Context, DomainEvent, Rejection};
use dormouse::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn main() -> ExitCode {
    App::new("bank").aggregate::<Account>().projection::<Balances>().run()
}

/// An account. Amounts are in cents.
#[derive(Clone, Default, Serialize, Deserialize)]
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
}

/// What can happen to it. These names are stored: they are for ever.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum AccountEvent {
    Opened { owner: String },
    Deposited { amount: u64 },
    Withdrawn { amount: u64 },
}

impl DomainEvent for AccountEvent {}

/// Why it may refuse.
#[derive(Debug, thiserror::Error)]
enum AccountRejection {
    #[error("the account is open already")]
    AlreadyOpen,
    #[error("the account has not been opened")]
    NotOpen,
    #[error("the balance is {balance}")]
    InsufficientFunds { balance: u64 },
    #[error("the amount is too large")]
    TooMuch,
}

impl Rejection for AccountRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyOpen => "already-open",
            Self::NotOpen => "not-open",
            Self::InsufficientFunds { .. } => "insufficient-funds",
            Self::TooMuch => "too-much",
        }
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = AccountCommand;
    type Event = AccountEvent;
    /// The balance afterwards.
    type Reply = u64;
    type Rejection = AccountRejection;

    fn decide(&self, command: AccountCommand, context: &mut Context<Self>) -> Result<u64, AccountRejection> {
        use AccountRejection::{AlreadyOpen, InsufficientFunds, NotOpen, TooMuch};
        let balance = self.balance;
        context.emit(match (command, &self.owner) {
            (AccountCommand::Open { .. }, Some(_)) => return Err(AlreadyOpen),
            (AccountCommand::Open { owner }, None) => AccountEvent::Opened { owner },
            (_, None) => return Err(NotOpen),
            (AccountCommand::Deposit { amount }, _) if balance.checked_add(amount).is_none() => return Err(TooMuch),
            (AccountCommand::Deposit { amount }, _) => AccountEvent::Deposited { amount },
            (AccountCommand::Withdraw { amount }, _) if amount > balance => return Err(InsufficientFunds { balance }),
            (AccountCommand::Withdraw { amount }, _) => AccountEvent::Withdrawn { amount },
        });
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

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse::Given;

    #[test]
    fn an_account_is_never_overdrawn() {
        let opened = AccountEvent::Opened { owner: "Ada".to_owned() };
        let given = || Given::<Account>::events([opened, AccountEvent::Deposited { amount: 50 }]);
        given().when(AccountCommand::Withdraw { amount: 51 }).then_rejected("insufficient-funds");
    }
}
