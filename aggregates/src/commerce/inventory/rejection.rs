//! Why an inventory refuses a command.

use dormouse_kernel::Rejection;

use crate::InvalidValue;
use crate::commerce::{OrderId, limits};

/// Why an inventory refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InventoryRejection {
    /// The id of the inventory is not a sku.
    #[error("the id of an inventory is a sku: {0}")]
    InvalidSku(InvalidValue),
    /// An update that changes nothing.
    #[error("the change must not be 0")]
    NoChange,
    /// There are fewer available pieces than the command needs.
    #[error("{wanted} wanted, {available} available ({on_hand} on hand, {reserved} reserved)")]
    InsufficientStock {
        /// How many pieces the command needs.
        wanted: u64,
        /// How many pieces are available.
        available: u64,
        /// How many pieces are in the warehouse.
        on_hand: u64,
        /// How many of these are reserved.
        reserved: u64,
    },
    /// There would be more pieces than the limit.
    #[error("there can be at most {max} pieces on hand", max = limits::ON_HAND)]
    TooMuchStock,
    /// The order already has a reservation.
    #[error("stock is already reserved for order {order}")]
    AlreadyReserved {
        /// The order.
        order: OrderId,
    },
    /// The order has no reservation that could be released or committed.
    #[error("no stock is reserved for order {order}")]
    NotReserved {
        /// The order.
        order: OrderId,
    },
    /// There would be more reservations than the limit.
    #[error("there can be at most {max} open reservations", max = limits::RESERVATIONS)]
    TooManyReservations,
}

impl Rejection for InventoryRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidSku(_) => "invalid-sku",
            Self::NoChange => "no-change",
            Self::InsufficientStock { .. } => "insufficient-stock",
            Self::TooMuchStock => "too-much-stock",
            Self::AlreadyReserved { .. } => "already-reserved",
            Self::NotReserved { .. } => "not-reserved",
            Self::TooManyReservations => "too-many-reservations",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commerce::Sku;

    #[test]
    fn a_rejection_states_its_reason() {
        let short = InventoryRejection::InsufficientStock { wanted: 7, available: 5, on_hand: 10, reserved: 5 };
        assert_eq!(short.to_string(), "7 wanted, 5 available (10 on hand, 5 reserved)");
        let nameless = InventoryRejection::InvalidSku(Sku::new("a b").unwrap_err());
        let told = "the id of an inventory is a sku: sku must be made of letters, digits, '-', '_' and '.', got ' '";
        assert_eq!(nameless.to_string(), told);
    }
}
