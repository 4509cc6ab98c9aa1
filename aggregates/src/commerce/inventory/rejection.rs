//! Why an inventory refuses a command.

use dormouse_kernel::Rejection;

use crate::InvalidValue;
use crate::commerce::{OrderId, limits};

/// Why an inventory refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InventoryRejection {
    /// Its id names nothing that could be sold.
    #[error("the id of an inventory is a sku: {0}")]
    InvalidSku(InvalidValue),
    /// An update that changes nothing.
    #[error("the change must not be 0")]
    NoChange,
    /// More is wanted than is there and not promised to somebody else.
    #[error("{wanted} wanted, {available} available ({on_hand} on hand, {reserved} reserved)")]
    InsufficientStock {
        /// How many are wanted.
        wanted: u64,
        /// How many could be had.
        available: u64,
        /// How many are in the house.
        on_hand: u64,
        /// How many of these are promised.
        reserved: u64,
    },
    /// More than can be counted.
    #[error("there can be at most {max} pieces on hand", max = limits::ON_HAND)]
    TooMuchStock,
    /// One reservation for each order.
    #[error("stock is already reserved for order {order}")]
    AlreadyReserved {
        /// Which.
        order: OrderId,
    },
    /// There is nothing to release or commit.
    #[error("no stock is reserved for order {order}")]
    NotReserved {
        /// Which.
        order: OrderId,
    },
    /// More than one inventory can keep.
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
    fn a_rejection_tells_people_what_is_in_the_way() {
        let short = InventoryRejection::InsufficientStock { wanted: 7, available: 5, on_hand: 10, reserved: 5 };
        assert_eq!(short.to_string(), "7 wanted, 5 available (10 on hand, 5 reserved)");
        let nameless = InventoryRejection::InvalidSku(Sku::new("a b").unwrap_err());
        let told = "the id of an inventory is a sku: sku must be made of letters, digits, '-', '_' and '.', got ' '";
        assert_eq!(nameless.to_string(), told);
    }
}
