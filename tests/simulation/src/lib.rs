//! Engine and journal, simulated: clients, crashes, faults and time all follow from one seed.
//!
//! A run ([`play`]) goes through several lives of a process on one storage in memory. In each life a node is started on
//! what the last one left, clients talk to it, and at some moment it crashes (everything but the storage is dropped),
//! drains, or is taken over while it goes on as a zombie (`life`). The clients outlive the process: they remember what
//! they asked and were told, and send again what they are not sure of (`client`, `rival`). In the end the checker holds
//! what everybody was told (`history`) against the log (`checker`); it shares no code with what it checks.
//!
//! Everything runs on one thread, on tokio's paused clock: a second of waiting takes no time. Nothing is left to chance
//! but the seed, so the same seed gives the same trace.

#![expect(clippy::unwrap_used, reason = "a panic is how a simulation fails")]

mod campaign;
mod checker;
mod client;
mod cluster;
mod history;
mod life;
mod register;
mod rival;
mod run;
mod scenario;
mod store_faults;
mod time;
mod trace;

pub use campaign::{campaign, find};
pub use run::{Run, play};
pub use scenario::Scenario;
