//! The API from outside: requests against the router, on a journal in memory.

mod commands;
mod failures;
mod following;
mod headers;
mod operations;
mod reading;
mod streams;
mod support;
