//! `dormouse`, able to fail on demand: the environment variable `FAILPOINTS` says where and how.
//!
//! A package of its own, built by itself: in one build with the others its feature would reach their binaries too.

use std::process::ExitCode;

use dormouse::App;
use dormouse_aggregates::commerce::{Inventory, Order};
use dormouse_views::commerce::{CustomerTotals, DailySales, InventoryLevels, Orders};

fn main() -> ExitCode {
    App::new("dormouse")
        .aggregate::<Order>()
        .aggregate::<Inventory>()
        .projection::<Orders>()
        .projection::<CustomerTotals>()
        .projection::<InventoryLevels>()
        .projection::<DailySales>()
        .run()
}
