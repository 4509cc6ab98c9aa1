//! Accounts, which do what transfers tell them.

use dormouse::{Aggregate, Context, DomainEvent, Rejection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::transfer::{Transfer, TransferCommand};

/// An account is open once it was funded.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    is_open: bool,
    balance: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum AccountCommand {
    /// Money comes in from outside.
    Fund { amount: u64 },
    /// Sent by a transfer, which is told when it happened.
    Withdraw { transfer: String, amount: u64 },
    /// Sent by a transfer, which is told when it happened.
    Deposit { transfer: String, amount: u64 },
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum AccountEvent {
    Funded { amount: u64 },
    Withdrawn { transfer: String, amount: u64 },
    Deposited { transfer: String, amount: u64 },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountRejection {
    #[error("the account was never funded")]
    NotOpen,
    #[error("the balance is {0}")]
    InsufficientFunds(u64),
}

impl DomainEvent for AccountEvent {}

impl Rejection for AccountRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotOpen => "not-open",
            Self::InsufficientFunds(_) => "insufficient-funds",
        }
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Reply = ();
    type Rejection = AccountRejection;

    fn decide(&self, command: AccountCommand, context: &mut Context<Self>) -> Result<(), AccountRejection> {
        match command {
            AccountCommand::Fund { amount } => context.emit(AccountEvent::Funded { amount }),
            AccountCommand::Withdraw { amount, .. } if amount > self.balance => {
                return Err(AccountRejection::InsufficientFunds(self.balance));
            }
            AccountCommand::Withdraw { transfer, amount } => {
                context.send::<Transfer>(&transfer, TransferCommand::NoteWithdrawal);
                context.emit(AccountEvent::Withdrawn { transfer, amount });
            }
            AccountCommand::Deposit { .. } if !self.is_open => return Err(AccountRejection::NotOpen),
            AccountCommand::Deposit { transfer, amount } => {
                context.send::<Transfer>(&transfer, TransferCommand::NoteDeposit);
                context.emit(AccountEvent::Deposited { transfer, amount });
            }
        }
        Ok(())
    }

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Funded { amount } => (self.is_open, self.balance) = (true, self.balance + amount),
            AccountEvent::Withdrawn { amount, .. } => self.balance -= amount,
            AccountEvent::Deposited { amount, .. } => self.balance += amount,
        }
    }
}
