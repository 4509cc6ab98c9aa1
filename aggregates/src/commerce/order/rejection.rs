//! Why an order refuses a command.

use dormouse_kernel::Rejection;

use crate::commerce::{Cents, OrderStatus, Quantity, Sku, limits};

/// Why an order refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRejection {
    /// The order exists already.
    #[error("the order has been created already")]
    AlreadyCreated,
    /// The order does not exist yet.
    #[error("the order has not been created")]
    NotCreated,
    /// The order has no lines.
    #[error("an order needs at least one line")]
    NoLines,
    /// The order has too many lines.
    #[error("an order has at most {max} lines, this would make {lines}", max = limits::ORDER_LINES)]
    TooManyLines {
        /// How many lines it would have.
        lines: usize,
    },
    /// The total would be above the maximum.
    #[error("the total would be more than {} cents", Cents::MAX)]
    TotalTooLarge,
    /// The command needs an open order.
    #[error("the order is {status}, not open")]
    NotOpen {
        /// The status of the order.
        status: OrderStatus,
    },
    /// The command needs a confirmed order.
    #[error("the order is {status}, not confirmed")]
    NotConfirmed {
        /// The status of the order.
        status: OrderStatus,
    },
    /// The order needs more pieces of a sku than can be reserved.
    #[error("the order needs {pieces} pieces of {sku}, at most {max} can be reserved", max = Quantity::MAX)]
    TooManyPieces {
        /// The sku.
        sku: Sku,
        /// How many pieces all lines together need.
        pieces: u64,
    },
    /// The stock of the order is not reserved yet.
    #[error("the stock of the order is not reserved yet: {skus} skus are missing")]
    ReservationPending {
        /// How many skus are not reserved.
        skus: usize,
    },
    /// The order has not asked for stock, so there is nothing to answer.
    #[error("the order has not asked for stock")]
    StockNotRequested,
    /// The command answers a refusal, and was sent without one.
    #[error("no inventory has refused the order")]
    NotRefused,
    /// A shipped order cannot be cancelled.
    #[error("the order has been shipped already")]
    AlreadyShipped,
    /// The order is cancelled already.
    #[error("the order has been cancelled already")]
    AlreadyCancelled,
    /// The order is rejected already.
    #[error("the order has been rejected already")]
    AlreadyRejected,
}

impl Rejection for OrderRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyCreated => "order-already-created",
            Self::NotCreated => "order-not-created",
            Self::NoLines => "order-without-lines",
            Self::TooManyLines { .. } => "too-many-lines",
            Self::TotalTooLarge => "total-too-large",
            Self::NotOpen { .. } => "order-not-open",
            Self::NotConfirmed { .. } => "order-not-confirmed",
            Self::TooManyPieces { .. } => "too-many-pieces",
            Self::ReservationPending { .. } => "reservation-pending",
            Self::StockNotRequested => "stock-not-requested",
            Self::NotRefused => "not-refused",
            Self::AlreadyShipped => "order-already-shipped",
            Self::AlreadyCancelled => "order-already-cancelled",
            Self::AlreadyRejected => "order-already-rejected",
        }
    }
}

impl std::fmt::Display for OrderStatus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_states_its_reason() {
        let told = |rejection: OrderRejection| rejection.to_string();
        assert_eq!(told(OrderRejection::NotOpen { status: OrderStatus::Shipped }), "the order is shipped, not open");
        let too_many = OrderRejection::TooManyLines { lines: 501 };
        assert_eq!(told(too_many), "an order has at most 500 lines, this would make 501");
        let heavy = OrderRejection::TooManyPieces { sku: Sku::new("tea").unwrap(), pieces: 1_000_001 };
        assert_eq!(told(heavy), "the order needs 1000001 pieces of tea, at most 1000000 can be reserved");
        assert_eq!(told(OrderRejection::TotalTooLarge), "the total would be more than 9007199254740991 cents");
    }
}
