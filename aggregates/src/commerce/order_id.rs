//! The id of an order.

use dormouse_kernel::{AggregateId, limits::AGGREGATE_ID_CHARS};

text_value! {
    /// The id of an order: 1 to 128 characters, none of them a slash or a control character.
    OrderId, "the order id", check,
    schema: { "minLength": 1, "maxLength": AGGREGATE_ID_CHARS, "pattern": "^[^/\\u0000-\\u001f\\u007f-\\u009f]+$" }
}

/// The id names an aggregate, so the rule for aggregate ids applies.
fn check(id: &str) -> Result<(), String> {
    AggregateId::new(id).map(|_| ()).map_err(|invalid| invalid.problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_is_an_aggregate_id() {
        assert!(OrderId::new("o-1").is_ok());
        assert_eq!(OrderId::new("a/b").unwrap_err().to_string(), "the order id contains a slash");
    }
}
