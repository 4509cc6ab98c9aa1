//! The read side of the real binary: views that are exactly what the log amounts to whenever it is killed, and reads that
//! see the write they name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

#[path = "views/freshness.rs"]
mod freshness;
#[path = "views/kills.rs"]
mod kills;
#[path = "views/place.rs"]
mod place;
