//! The read side of the real binary: views that are exactly what the log amounts to whatever happens, reads that see the
//! write they name, rebuilds that nobody notices, and events that cannot be projected.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

#[path = "views/operator.rs"]
mod operator;
#[path = "views/place.rs"]
mod place;

#[path = "views/freshness.rs"]
mod freshness;
#[path = "views/kills.rs"]
mod kills;
#[path = "views/poison.rs"]
mod poison;
#[path = "views/rebuilds.rs"]
mod rebuilds;
