//! The domains that ship with Dormouse: pure, synchronous, and each an example of how to write one.
//!
//! A domain is a module. It holds aggregates, each in a file of its own with one file per command below it, and values
//! that are checked once, when they are parsed, and correct from then on.
//!
//! Invariant: no I/O, no clock, no randomness. What a decision needs beyond its state it gets from its
//! [`Context`](dormouse_kernel::Context).

#[macro_use]
mod value;

pub mod commerce;

pub use value::InvalidValue;
