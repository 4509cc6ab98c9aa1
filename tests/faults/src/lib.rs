//! A journal store that fails as tests tell it to, and says what was asked of it.
//!
//! [`Faulty`] stands before any other store. A test gives it orders (`fail_next_commit`, `hold_commits`, `slow`,
//! `go_down`), or a [`Plan`] that decides at every call; [`RandomPlan`] is a plan drawn from a seed. Either way it does the
//! same thing each time it is asked the same way. [`Fault`] lists what can happen to a commit, and says what a torn one
//! is.

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
