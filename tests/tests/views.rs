//! The read side of the real binary: views that always equal the fold of the log, reads that see the write that they
//! name, rebuilds that readers do not notice, and events that cannot be projected.

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
