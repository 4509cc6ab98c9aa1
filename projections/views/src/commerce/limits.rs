//! The limits of the views of commerce, each with its reason.

/// With fewer pieces available than this, a sku is low on stock. The domain has no threshold for each sku; this one is for
/// those who want a list without thinking, and `filter[available][lt]` is for everybody else. Whoever changes it raises
/// the `VERSION` of [`InventoryLevels`](super::InventoryLevels).
pub const LOW_STOCK: u64 = 10;

/// Bytes of a customer's name in the key of a document. A name has at most 500 characters, but up to 2,000 bytes, and a
/// key 1,024.
pub const CUSTOMER_KEY_BYTES: usize = 512;
