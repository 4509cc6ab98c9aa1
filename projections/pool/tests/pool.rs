//! Projections on a journal that grows, with stores that fail, processes that die, and events that cannot be projected.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

#[path = "pool/bank.rs"]
mod bank;
#[path = "pool/faulty.rs"]
mod faulty;
#[path = "pool/world.rs"]
mod world;

#[path = "pool/attempts.rs"]
mod attempts;
#[path = "pool/batches.rs"]
mod batches;
#[path = "pool/cache.rs"]
mod cache;
#[path = "pool/control.rs"]
mod control;
#[path = "pool/crowd.rs"]
mod crowd;
#[path = "pool/exactly_once.rs"]
mod exactly_once;
#[path = "pool/measuring.rs"]
mod measuring;
#[path = "pool/poison.rs"]
mod poison;
#[path = "pool/rebuilding.rs"]
mod rebuilding;
#[path = "pool/retrying.rs"]
mod retrying;
#[path = "pool/supervision.rs"]
mod supervision;
#[path = "pool/watermark.rs"]
mod watermark;
