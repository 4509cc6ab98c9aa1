//! `UpdateInventory`: adds or removes stock.

use dormouse_kernel::Context;

use super::{Inventory, InventoryEvent, InventoryRejection, StockLevel};
use crate::commerce::{Text, limits};

impl Inventory {
    pub(super) fn update(
        &self,
        change: i64,
        reason: Text,
        context: &mut Context<Self>,
    ) -> Result<StockLevel, InventoryRejection> {
        if change == 0 {
            return Err(InventoryRejection::NoChange);
        }
        if change < 0 && change.unsigned_abs() > self.available() {
            return Err(self.insufficient(change.unsigned_abs()));
        }
        let on_hand = self.on_hand.checked_add_signed(change).filter(|on_hand| *on_hand <= limits::ON_HAND);
        let on_hand = on_hand.ok_or(InventoryRejection::TooMuchStock)?;
        context.emit(InventoryEvent::InventoryUpdated { change, reason });
        Ok(StockLevel::of(on_hand, self.reserved))
    }

    pub(super) const fn insufficient(&self, wanted: u64) -> InventoryRejection {
        let (available, on_hand, reserved) = (self.available(), self.on_hand, self.reserved);
        InventoryRejection::InsufficientStock { wanted, available, on_hand, reserved }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::Given;

    use super::*;
    use crate::commerce::inventory::stories::{reserved, update, updated};

    #[test]
    fn stock_is_added() {
        let after = Given::<Inventory>::nothing().when(update(10)).then([updated(10)]).and_replies(&StockLevel {
            on_hand: 10,
            reserved: 0,
            available: 10,
        });
        assert_eq!(after.state().on_hand, 10);
    }

    #[test]
    fn stock_is_removed_down_to_zero_and_no_further() {
        Given::<Inventory>::events([updated(10)]).when(update(-10)).then([updated(-10)]).and_replies(&StockLevel {
            on_hand: 0,
            reserved: 0,
            available: 0,
        });
        Given::<Inventory>::events([updated(10)]).when(update(-11)).then_rejected("insufficient-stock");
        Given::<Inventory>::nothing().when(update(i64::MIN)).then_rejected("insufficient-stock");
    }

    #[test]
    fn reserved_stock_cannot_be_removed() {
        let past = [updated(10), reserved("o-1", 4)];
        Given::<Inventory>::events(past.clone()).when(update(-6)).then([updated(-6)]).and_replies(&StockLevel {
            on_hand: 4,
            reserved: 4,
            available: 0,
        });
        Given::<Inventory>::events(past).when(update(-7)).then_rejected("insufficient-stock");
    }

    #[test]
    fn the_number_of_pieces_is_limited() {
        let most = 9_007_199_254_740_991;
        Given::<Inventory>::nothing().when(update(most)).then([updated(most)]);
        Given::<Inventory>::nothing().when(update(most + 1)).then_rejected("too-much-stock");
        Given::<Inventory>::events([updated(most)]).when(update(1)).then_rejected("too-much-stock");
        Given::<Inventory>::events([updated(most)]).when(update(i64::MAX)).then_rejected("too-much-stock");
    }

    #[test]
    fn an_update_that_changes_nothing_is_refused() {
        Given::<Inventory>::events([updated(10)]).when(update(0)).then_rejected("no-change");
    }

    #[test]
    fn an_inventory_is_named_by_a_sku() {
        Given::<Inventory>::nothing().with_id("SKU-42").when(update(1)).then([updated(1)]);
        for id in ["red shoe", "größe", &"x".repeat(65)] {
            Given::<Inventory>::nothing().with_id(id).when(update(1)).then_rejected("invalid-sku");
        }
    }
}
