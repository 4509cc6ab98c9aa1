//! The limits of the views of commerce, each with its reason.

/// With fewer available pieces than this, a sku is low on stock. The domain has no threshold for each sku. This one is
/// for a simple list; a query with `filter[available][lt]` can use any other number. Raise the `VERSION` of
/// [`InventoryLevels`](super::InventoryLevels) when you change it.
pub const LOW_STOCK: u64 = 10;

/// Bytes of a customer's name that are used in a key. A name has at most 500 characters, which can be 2,000 bytes, and
/// a key has at most 1,024 bytes.
pub const CUSTOMER_KEY_BYTES: usize = 512;
