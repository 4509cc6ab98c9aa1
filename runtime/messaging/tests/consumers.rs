//! What consumers promise: order, retries, dead letters, switches, restarts, timers.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in its helpers")]

#[path = "consumers/dead_letters.rs"]
mod dead_letters;
#[path = "consumers/handlers.rs"]
mod handlers;
#[path = "consumers/messages.rs"]
mod messages;
#[path = "consumers/operations.rs"]
mod operations;
#[path = "consumers/publishers.rs"]
mod publishers;
#[path = "consumers/restarts.rs"]
mod restarts;
#[path = "consumers/sequences.rs"]
mod sequences;
#[path = "consumers/timers.rs"]
mod timers;
#[path = "consumers/world.rs"]
mod world;
