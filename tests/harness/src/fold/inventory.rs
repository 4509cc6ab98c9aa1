//! The view `inventory`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ViewDocument;

/// Stock is low if fewer pieces are available.
const LOW: i64 = 10;

/// The stock of a sku, and the quantities that are reserved for orders.
#[derive(Debug, Clone, Default)]
pub(super) struct Stock {
    sku: String,
    on_hand: i64,
    promised: BTreeMap<String, i64>,
    updated_at: String,
    position: u64,
}

impl Stock {
    pub(super) fn apply(
        &mut self,
        sku: &str,
        name: &str,
        data: &Value,
        now: String,
        position: u64,
    ) -> Result<(), String> {
        let order = data["order"].as_str().unwrap_or_default();
        let promised = |pieces: Option<i64>| pieces.ok_or_else(|| format!("{name} of {sku}, {order} has nothing"));
        match name {
            "InventoryUpdated" => self.on_hand += data["change"].as_i64().unwrap_or_default(),
            "StockReserved" => {
                let pieces = data["quantity"].as_i64().unwrap_or_default();
                if self.promised.insert(order.to_owned(), pieces).is_some() {
                    return Err(format!("{name} of {sku}, {order} has something"));
                }
            }
            "StockReleased" => {
                promised(self.promised.remove(order))?;
            }
            "StockCommitted" => self.on_hand -= promised(self.promised.remove(order))?,
            _ => return Err(format!("{name} of {sku} is unheard of")),
        }
        sku.clone_into(&mut self.sku);
        (self.updated_at, self.position) = (now, position);
        Ok(())
    }

    pub(super) fn kept(&self) -> ViewDocument {
        let reserved: i64 = self.promised.values().sum();
        let available = self.on_hand - reserved;
        let document = json!({
            "sku": self.sku,
            "on_hand": self.on_hand,
            "reserved": reserved,
            "available": available,
            "reservations": self.promised.len(),
            "low_stock": available < LOW,
            "updated_at": self.updated_at,
        });
        ViewDocument { document, position: self.position }
    }
}
