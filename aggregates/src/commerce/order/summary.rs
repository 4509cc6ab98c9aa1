//! The order as its events describe it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::commerce::{Cents, OrderStatus, Text};

/// An order just before an event. A reader that sees only the event, like the view of a customer or of a day, learns
/// from it whose order changes, and what it costs.
///
/// It is stored in events, so it accepts unknown fields: an older version of the application may read newer events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderSummary {
    /// The customer.
    pub customer: Text,
    /// The status before the event.
    pub status: OrderStatus,
    /// The price of all lines.
    pub total_cents: Cents,
}

impl OrderSummary {
    /// The price that the customer has agreed to. `None` while the order is open, and after it is cancelled or
    /// rejected.
    #[must_use]
    pub fn agreed_cents(&self) -> Option<Cents> {
        match self.status {
            OrderStatus::Confirmed | OrderStatus::Shipped => Some(self.total_cents),
            OrderStatus::Open | OrderStatus::Cancelled | OrderStatus::Rejected => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commerce::order::stories::{cents, was};

    #[test]
    fn only_a_confirmed_or_shipped_order_has_an_agreed_price() {
        let agreed = |status| was(status).unwrap().agreed_cents();
        let without = [OrderStatus::Open, OrderStatus::Cancelled, OrderStatus::Rejected];
        assert_eq!(without.map(agreed), [None; 3]);
        assert_eq!([OrderStatus::Confirmed, OrderStatus::Shipped].map(agreed), [Some(cents(700)); 2]);
    }
}
