//! `dormouse`: the domains that ship with Dormouse, as an application.

use std::process::ExitCode;

use dormouse::App;
use dormouse_aggregates::commerce::{Inventory, Order};
use dormouse_views::commerce::{CustomerTotals, DailySales, InventoryLevels, Orders};

/// A command makes some dozens of small allocations on one thread and frees them on another; the system's allocator
/// spent a quarter of the server's time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
