//! The id of an order.

id_value! {
    /// The id of an order: 1 to 128 characters, none of them a slash or a control character.
    OrderId, "the order id"
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
