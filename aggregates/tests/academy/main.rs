//! The academy from outside: the stored bytes of its events, its commands in JSON, and properties of all histories.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

mod assessments;
mod format;
mod json;
mod streaks;
mod unlocking;
mod world;
