//! The stock of an order, and the messages about it to the inventories.

use std::collections::BTreeMap;

use dormouse_kernel::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Order, OrderCommand, OrderRejection};
use crate::commerce::{Inventory, InventoryCommand, OrderId, Quantity, Sku, limits};

/// What became of the stock that a confirmed order needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reservation {
    /// The order has asked for it, and at least one inventory has not answered.
    Pending,
    /// All of it is reserved.
    Reserved,
    /// The order is cancelled or rejected, and gives back what is reserved.
    Released,
    /// The order is shipped, and the stock leaves the warehouse.
    Committed,
}

/// Why an order was rejected: the stock of one sku could not be reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shortage {
    /// The sku.
    pub sku: Sku,
    /// Why its inventory refused: the stable code of the rejection.
    pub code: String,
}

impl Order {
    /// Sends the inventories what they must know when the reservation of the order becomes `reservation`. The first
    /// `from` of them know it already. If there are too many for one command, the order sends itself a command to
    /// continue.
    ///
    /// The messages of an order are delivered in order, so an inventory gets `ReserveLine` first.
    pub(super) fn tell_inventories(
        &self,
        reservation: Reservation,
        from: usize,
        context: &mut Context<Self>,
    ) -> Result<(), OrderRejection> {
        let id = OrderId::from(context.id());
        let needs = self.needs()?;
        for (sku, quantity) in needs.iter().skip(from).take(limits::INVENTORIES_AT_ONCE) {
            let (sku, order, quantity) = (Sku::clone(sku), id.clone(), *quantity);
            match reservation {
                Reservation::Pending => context
                    .send::<Inventory>(sku.as_str(), InventoryCommand::ReserveLine { order, quantity })
                    .on_refused(OrderCommand::RecordLineRefused { sku }),
                // The inventory of an awaited sku has refused, or will still answer: see `record_line_reserved`.
                Reservation::Released if self.awaited.contains(&sku) => {}
                Reservation::Released => {
                    context.send::<Inventory>(sku.as_str(), InventoryCommand::ReleaseStock { order });
                }
                Reservation::Committed => {
                    context.send::<Inventory>(sku.as_str(), InventoryCommand::CommitStock { order });
                }
                Reservation::Reserved => {}
            }
        }
        let from = from.saturating_add(limits::INVENTORIES_AT_ONCE);
        if from < needs.len() {
            context.send::<Self>(id.as_str(), OrderCommand::NotifyInventories { from });
        }
        Ok(())
    }

    /// How many pieces of each sku all lines together need.
    fn needs(&self) -> Result<BTreeMap<&Sku, Quantity>, OrderRejection> {
        let mut needs: BTreeMap<&Sku, u64> = BTreeMap::new();
        for line in &self.lines {
            *needs.entry(&line.sku).or_default() += u64::from(line.quantity.get());
        }
        let quantity = |(sku, pieces): (&'_ Sku, u64)| {
            Quantity::new(pieces).map_err(|_| OrderRejection::TooManyPieces { sku: sku.clone(), pieces })
        };
        needs.into_iter().map(|need| Ok((need.0, quantity(need)?))).collect()
    }
}
