//! `dormouse` with failpoints: the environment variable `FAILPOINTS` says where the process fails, and how. It also has
//! the aggregates of `messaging`, which send messages, set timers and have effects outside.
//!
//! Tests build it with `tests/bugs/cargo`, which adds the planted bugs. It is a package of its own, because in one
//! build with other packages its feature would also be on in their binaries.

mod messaging;

use std::process::ExitCode;

fn main() -> ExitCode {
    messaging::add_to(dormouse::demo::app()).run()
}
