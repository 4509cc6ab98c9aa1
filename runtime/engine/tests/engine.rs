//! The promises of the engine, one sentence for each test, on a journal in memory that fails on request.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

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
#[path = "engine/journal_failures.rs"]
mod journal_failures;
#[path = "engine/keys.rs"]
mod keys;
#[path = "engine/past.rs"]
mod past;
#[path = "engine/refused_types.rs"]
mod refused_types;
#[path = "engine/sealing.rs"]
mod sealing;
#[path = "engine/sleeping.rs"]
mod sleeping;
#[path = "engine/snapshots.rs"]
mod snapshots;
