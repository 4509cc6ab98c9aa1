//! Why an order refuses a command.

use dormouse_kernel::Rejection;

use crate::commerce::{Cents, OrderStatus, limits};

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
    /// A shipped order cannot be cancelled.
    #[error("the order has been shipped already")]
    AlreadyShipped,
    /// The order is cancelled already.
    #[error("the order has been cancelled already")]
    AlreadyCancelled,
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
            Self::AlreadyShipped => "order-already-shipped",
            Self::AlreadyCancelled => "order-already-cancelled",
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
        assert_eq!(told(OrderRejection::TotalTooLarge), "the total would be more than 9007199254740991 cents");
    }
}
