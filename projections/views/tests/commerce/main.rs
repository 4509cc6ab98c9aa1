//! The views of commerce from outside: what they make of whatever the domain does, and what their documents look like.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

mod documents;
mod properties;
mod shop;
