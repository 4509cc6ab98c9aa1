//! Transfers: from one account to another by messages, or back if the other one refuses.

use std::convert::Infallible;

use dormouse::{Aggregate, Context, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account::{Account, AccountCommand};

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Transfer {
    from: String,
    to: String,
    amount: u64,
    is_rejected: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum TransferCommand {
    /// The only command of clients.
    Start { from: String, to: String, amount: u64 },
    /// The first account has given the money.
    NoteWithdrawal,
    /// An account has taken the money.
    NoteDeposit,
    /// The first account has refused.
    NoteRefusal,
    /// The second account has refused: the money goes back.
    SendBack,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum TransferEvent {
    Started { from: String, to: String, amount: u64 },
    Withdrawn,
    Completed,
    Refused { code: String },
    Rejected { code: String },
    Refunded,
}

impl DomainEvent for TransferEvent {}

impl Aggregate for Transfer {
    const TYPE: &'static str = "transfer";
    type Command = TransferCommand;
    type Event = TransferEvent;
    type Reply = ();
    type Rejection = Infallible;

    fn decide(&self, command: TransferCommand, context: &mut Context<Self>) -> Result<(), Infallible> {
        let (transfer, amount) = (context.id().to_string(), self.amount);
        let code = context.refusal().map_or_else(String::new, |refusal| refusal.code.clone());
        match command {
            TransferCommand::Start { from, to, amount } => {
                let withdraw = AccountCommand::Withdraw { transfer, amount };
                context.send::<Account>(&from, withdraw).on_refused(TransferCommand::NoteRefusal);
                context.emit(TransferEvent::Started { from, to, amount });
            }
            TransferCommand::NoteWithdrawal => {
                let deposit = AccountCommand::Deposit { transfer, amount };
                context.send::<Account>(&self.to, deposit).on_refused(TransferCommand::SendBack);
                context.emit(TransferEvent::Withdrawn);
            }
            TransferCommand::NoteDeposit if self.is_rejected => context.emit(TransferEvent::Refunded),
            TransferCommand::NoteDeposit => context.emit(TransferEvent::Completed),
            TransferCommand::NoteRefusal => context.emit(TransferEvent::Refused { code }),
            TransferCommand::SendBack => {
                context.send::<Account>(&self.from, AccountCommand::Deposit { transfer, amount });
                context.emit(TransferEvent::Rejected { code });
            }
        }
        Ok(())
    }

    fn evolve(&mut self, event: &TransferEvent) {
        match event {
            TransferEvent::Started { from, to, amount } => {
                (self.from, self.to, self.amount) = (from.clone(), to.clone(), *amount);
            }
            TransferEvent::Rejected { .. } => self.is_rejected = true,
            TransferEvent::Withdrawn
            | TransferEvent::Completed
            | TransferEvent::Refused { .. }
            | TransferEvent::Refunded => {}
        }
    }
}
