//! `dormouse`, able to fail on demand: the environment variable `FAILPOINTS` says where and how.
//!
//! A package of its own, built by itself: in one build with the others its feature would reach their binaries too.

use std::process::ExitCode;

use dormouse::App;
use dormouse_aggregates::commerce::{Inventory, Order};

fn main() -> ExitCode {
    App::new("dormouse").aggregate::<Order>().aggregate::<Inventory>().run()
}
