//! A simulation of engine and journal. Clients, crashes, faults and time all follow from one seed.
//!
//! A run ([`play`]) has several lives of a process on one storage in memory. In each life, a node starts on the rest of
//! the life before, and clients send requests to it. At some moment the node crashes (everything but the storage is
//! dropped), drains, or is taken over while it runs on as a zombie (`life`). The clients survive the process: they
//! remember their requests and answers, and repeat requests with an unknown outcome (`client`, `rival`). In the end,
//! the checker compares all answers (`history`) with the log (`checker`). It shares no code with the product.
//!
//! Everything runs on one thread, on tokio's paused clock: waiting for a second takes no time. The seed is the only
//! source of randomness, so the same seed gives the same trace.

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
