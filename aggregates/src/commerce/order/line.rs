//! One line of an order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::commerce::{Cents, Quantity, Sku};

/// One line of an order: so many pieces of one thing.
///
/// It is stored in events, so it takes fields it does not know: an older version of the application may meet them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// What is wanted.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
    /// What one costs.
    pub unit_price_cents: Cents,
}

impl Line {
    /// What the line costs, unless it is more than there can be.
    #[must_use]
    pub fn total(&self) -> Option<Cents> {
        self.unit_price_cents.checked_times(self.quantity)
    }
}

/// A line as a command brings it. A field it does not know is a typing error, and refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLine {
    /// What is wanted.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
    /// What one costs.
    pub unit_price_cents: Cents,
}

impl From<NewLine> for Line {
    fn from(NewLine { sku, quantity, unit_price_cents }: NewLine) -> Self {
        Self { sku, quantity, unit_price_cents }
    }
}
