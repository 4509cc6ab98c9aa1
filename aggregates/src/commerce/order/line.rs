//! One line of an order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::commerce::{Cents, Quantity, Sku};

/// One line of an order: a number of pieces of one sku.
///
/// It is stored in events, so it accepts unknown fields: an older version of the application may read newer events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The sku.
    pub sku: Sku,
    /// How many pieces.
    pub quantity: Quantity,
    /// The price of one piece.
    pub unit_price_cents: Cents,
}

impl Line {
    /// The price of the line. `None` if it is above the maximum.
    #[must_use]
    pub fn total(&self) -> Option<Cents> {
        self.unit_price_cents.checked_times(self.quantity)
    }
}

/// A line in a command. An unknown field is a typing error and is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLine {
    /// The sku.
    pub sku: Sku,
    /// How many pieces.
    pub quantity: Quantity,
    /// The price of one piece.
    pub unit_price_cents: Cents,
}

impl From<NewLine> for Line {
    fn from(NewLine { sku, quantity, unit_price_cents }: NewLine) -> Self {
        Self { sku, quantity, unit_price_cents }
    }
}
