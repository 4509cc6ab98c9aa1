//! A journal store that fails as tests tell it to, and says what was asked of it.
//!
//! [`Faulty`] stands before any other store. A test gives it orders (`fail_next_commit`, `hold_commits`, `slow`,
//! `go_down`), or a [`Plan`] that decides at every call; [`Weather`] is a plan drawn from a seed. Either way it does the
//! same thing each time it is asked the same way. [`Fault`] lists what can happen to a commit, and says what a torn one
//! is.

mod dice;
mod fault;
mod faulty;
mod gate;
mod plan;
mod seen;
mod store;

pub use dice::Dice;
pub use fault::{Fault, Tear};
pub use faulty::Faulty;
pub use gate::Held;
pub use plan::{Call, Disturbance, Odds, Plan, Weather};
pub use seen::Read;
