//! `CommitStock`: the pieces that are reserved for an order leave the warehouse.

use dormouse_kernel::Context;

use super::{Inventory, InventoryEvent, InventoryRejection, StockLevel, pieces};
use crate::commerce::OrderId;

impl Inventory {
    pub(super) fn commit(&self, order: OrderId, context: &mut Context<Self>) -> Result<StockLevel, InventoryRejection> {
        let quantity = self.reservation(&order)?;
        context.emit(InventoryEvent::StockCommitted { order, quantity });
        let left = |pieces_before: u64| pieces_before.saturating_sub(pieces(quantity));
        Ok(StockLevel::of(left(self.on_hand), left(self.reserved)))
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::InventoryCommand::CommitStock;
    use crate::commerce::inventory::stories::{committed, order, released, reserved, updated};

    #[test]
    fn committed_stock_is_removed() {
        let after = Given::<Inventory>::events([updated(10), reserved("o-1", 4), reserved("o-2", 1)])
            .when(CommitStock { order: order("o-1") })
            .then([committed("o-1", 4)])
            .and_replies(&StockLevel { on_hand: 6, reserved: 1, available: 5 });
        assert_eq!(after.state().reservations.len(), 1);
        assert_eq!(after.state().on_hand, 6);
    }

    #[test]
    fn stock_that_is_not_reserved_cannot_be_committed() {
        let refused = |past: Vec<InventoryEvent>| {
            Given::<Inventory>::events(past).when(CommitStock { order: order("o-1") }).then_rejected("not-reserved");
        };
        refused(vec![]);
        refused(vec![updated(10), reserved("o-2", 4)]);
        refused(vec![updated(10), reserved("o-1", 4), released("o-1", 4)]);
        refused(vec![updated(10), reserved("o-1", 4), committed("o-1", 4)]);
    }
}
