//! How often a caller may ask, and which address a request comes from. This crate knows nothing of HTTP but the texts of
//! two headers.
//!
//! [`Rates`] decides whether a request is one too many. It remembers callers in a table that is bounded, so that an
//! attacker with many names or addresses costs no memory. [`client_address`] finds the client behind trusted proxies.

mod client_address;
mod rates;

pub use client_address::client_address;
pub use rates::{Asker, Class, Decision, Rates, Standing, Time};
