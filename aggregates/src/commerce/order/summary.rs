//! What an order was when something happened to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::commerce::{Cents, OrderStatus, Text};

/// What an order was just before an event. A reader that sees the event alone, like the view of a customer or of a day,
/// learns from it whose order changes, and by which amount.
///
/// It is stored in events, so it takes fields it does not know: an older version of the application may meet them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderSummary {
    /// Whose it is.
    pub customer: Text,
    /// How far it had come.
    pub status: OrderStatus,
    /// What all lines cost together.
    pub total_cents: Cents,
}

impl OrderSummary {
    /// What the customer had agreed to pay: nothing while the order was open, nor after it was cancelled.
    #[must_use]
    pub fn agreed_cents(&self) -> Option<Cents> {
        match self.status {
            OrderStatus::Confirmed | OrderStatus::Shipped => Some(self.total_cents),
            OrderStatus::Open | OrderStatus::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commerce::order::stories::{cents, was};

    #[test]
    fn only_who_has_decided_has_agreed_to_pay() {
        let agreed = |status| was(status).unwrap().agreed_cents();
        assert_eq!([OrderStatus::Open, OrderStatus::Cancelled].map(agreed), [None, None]);
        assert_eq!([OrderStatus::Confirmed, OrderStatus::Shipped].map(agreed), [Some(cents(700)); 2]);
    }
}
