//! The views of commerce from outside: their documents, and what they contain after any history of the domain.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

mod documents;
#[path = "../support/interface.rs"]
mod interface;
mod properties;
mod shop;
