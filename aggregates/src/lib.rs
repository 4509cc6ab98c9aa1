//! The domains that ship with Dormouse. Each is pure and synchronous, and an example of how to write a domain.
//!
//! A domain is a module. It contains aggregates and values. An aggregate has a file, and below it a file for each
//! command. A value is checked once, when it is parsed. Values that several domains use stand beside the domains.
//!
//! Invariant: no I/O, no clock, no randomness. A decision gets the time and new ids from its
//! [`Context`](dormouse_kernel::Context).

#[macro_use]
mod value;

pub mod academy;
pub mod commerce;
mod email;
pub mod hosting;
pub mod limits;
mod text;

pub use email::Email;
pub use text::Text;
pub use value::InvalidValue;
