//! The views of the academy from outside: their documents, and what they contain after any history of learning.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

mod documents;
mod properties;
