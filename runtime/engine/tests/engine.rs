//! What the engine promises, one sentence a test, on a journal in memory that fails as it is told.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

#[path = "support/counter.rs"]
mod counter;
#[path = "support/world.rs"]
mod world;

#[path = "engine/admission.rs"]
mod admission;
#[path = "engine/commands.rs"]
mod commands;
#[path = "engine/draining.rs"]
mod draining;
#[path = "engine/durability.rs"]
mod durability;
#[path = "engine/failing.rs"]
mod failing;
#[path = "engine/journal_trouble.rs"]
mod journal_trouble;
#[path = "engine/keys.rs"]
mod keys;
#[path = "engine/past.rs"]
mod past;
#[path = "engine/sleeping.rs"]
mod sleeping;
#[path = "engine/snapshots.rs"]
mod snapshots;
