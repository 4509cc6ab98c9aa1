//! Hosting from outside: the stored bytes of its events, its commands in JSON, and what holds whatever the order in
//! which commands and messages arrive.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

mod format;
mod installation;
mod json;
mod properties;
#[path = "../support/stored.rs"]
mod stored;
