//! A journal store that fails when a test wants it to, and records its calls.
//!
//! [`Faulty`] forwards to any other store. A test gives it instructions (`fail_next_commit`, `hold_commits`, `slow`,
//! `go_down`), or a [`Plan`] that decides at every call; [`RandomPlan`] follows from a seed. Both are deterministic:
//! the same calls get the same faults. [`Fault`] lists the faults of a commit, and says what a torn commit is.

mod dice;
mod fault;
mod faulty;
mod gate;
mod plan;
mod record;
mod store;

pub use dice::Dice;
pub use fault::{Fault, Tear};
pub use faulty::Faulty;
pub use gate::GateGuard;
pub use plan::{Call, Disturbance, Odds, Plan, RandomPlan};
pub use record::Read;
