//! The limits of values that several domains use, each with its reason. Stored events comply with them: raising a limit
//! needs nothing else, lowering one needs an upcaster for larger values in stored events.

/// Bytes in an e-mail address: what fits into an SMTP path of 256 bytes with its brackets (RFC 5321, 4.5.3.1.3).
pub const EMAIL_BYTES: usize = 254;

/// Bytes in an e-mail address before the `@` (RFC 5321, 4.5.3.1.1).
pub const EMAIL_LOCAL_BYTES: usize = 64;

/// Characters in a free text. A longer text belongs into a document; its address fits.
pub const TEXT_CHARS: usize = 500;
