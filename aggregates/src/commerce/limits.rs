//! The limits of commerce, each with its reason. Stored events comply with them: raising a limit needs nothing else,
//! lowering one needs an upcaster for larger values in stored events.

/// Pieces in one line or one reservation. A larger number is a typing error, or a trade that this domain is not made
/// for.
pub const QUANTITY: u32 = 1_000_000;

/// Cents in a price or a total: the largest whole number that every JSON reader takes exactly, 2^53 - 1 (RFC 7493,
/// 2.2).
pub const CENTS: u64 = (1 << 53) - 1;

/// Pieces on hand of one sku, for the same reason as [`CENTS`].
pub const ON_HAND: u64 = (1 << 53) - 1;

/// Lines in one order: each command may copy the order, and one page shows it.
pub const ORDER_LINES: usize = 500;

/// Inventories that one command of an order sends a message to: all messages of a command but one, which tells the
/// order to continue.
pub const INVENTORIES_AT_ONCE: usize = dormouse_kernel::limits::MESSAGES_PER_COMMAND - 1;

/// Open reservations for one sku at the same time. An inventory keeps them all in memory and in its snapshot: this many
/// take about a megabyte.
pub const RESERVATIONS: usize = 10_000;

/// Characters in a sku: it is an aggregate id and part of URLs.
pub const SKU_CHARS: usize = 64;
