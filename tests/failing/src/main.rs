//! `dormouse` with failpoints: the environment variable `FAILPOINTS` says where the process fails, and how.
//!
//! Tests build it with `tests/bugs/cargo`, which adds the planted bugs. It is a package of its own, because in one
//! build with other packages its feature would also be on in their binaries.

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
