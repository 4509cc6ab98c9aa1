//! `ReleaseStock`: the pieces that are reserved for an order become available again.

use dormouse_kernel::Context;

use super::{Inventory, InventoryEvent, InventoryRejection, StockLevel, pieces};
use crate::commerce::OrderId;

impl Inventory {
    pub(super) fn release(
        &self,
        order: OrderId,
        context: &mut Context<Self>,
    ) -> Result<StockLevel, InventoryRejection> {
        let quantity = self.reservation(&order)?;
        context.emit(InventoryEvent::StockReleased { order, quantity });
        Ok(StockLevel::of(self.on_hand, self.reserved.saturating_sub(pieces(quantity))))
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::InventoryCommand::ReleaseStock;
    use crate::commerce::inventory::stories::{committed, order, released, reserved, updated};

    #[test]
    fn released_stock_is_available_again() {
        let after = Given::<Inventory>::events([updated(10), reserved("o-1", 4), reserved("o-2", 1)])
            .when(ReleaseStock { order: order("o-1") })
            .then([released("o-1", 4)])
            .and_replies(&StockLevel { on_hand: 10, reserved: 1, available: 9 });
        assert_eq!(after.state().reservations.len(), 1);
    }

    #[test]
    fn stock_that_is_not_reserved_cannot_be_released() {
        let refused = |past: Vec<InventoryEvent>| {
            Given::<Inventory>::events(past).when(ReleaseStock { order: order("o-1") }).then_rejected("not-reserved");
        };
        refused(vec![]);
        refused(vec![updated(10), reserved("o-2", 4)]);
        refused(vec![updated(10), reserved("o-1", 4), released("o-1", 4)]);
        refused(vec![updated(10), reserved("o-1", 4), committed("o-1", 4)]);
    }
}
