//! The module `commerce`: a shop with orders and inventory. Its permissions are those of the requirements; a user
//! reaches its own orders.

use dormouse_aggregates::commerce::{Inventory, Order};
use dormouse_views::commerce::{CustomerTotals, DailySales, InventoryLevels, Orders};

use crate::App;

pub(super) fn add(app: App) -> App {
    let app = app
        .aggregate::<Order>()
        .aggregate::<Inventory>()
        .projection::<Orders>()
        .projection::<CustomerTotals>()
        .projection::<InventoryLevels>()
        .projection::<DailySales>();
    permit(app)
}

fn permit(app: App) -> App {
    const ADMIN: &[&str] = &["admin"];
    const USER: &[&str] = &["own:user", "admin"];
    const MANAGER: &[&str] = &["inventory_manager", "admin"];
    const VIEWER: &[&str] = &["inventory_viewer", "admin"];
    app.permit_command("CreateOrder", USER)
        .permit_command("AddLine", USER)
        .permit_command("ConfirmOrder", USER)
        .permit_command("ShipOrder", ADMIN)
        .permit_command("CancelOrder", ADMIN)
        .permit_command("UpdateInventory", MANAGER)
        .permit_command("ReserveStock", MANAGER)
        .permit_command("ReleaseStock", MANAGER)
        .permit_command("CommitStock", MANAGER)
        .permit_query("GetOrder", USER)
        .permit_query("order.state", USER)
        .permit_query("order.outcome", USER)
        .permit_query("order.events", ADMIN)
        .permit_query("GetAllOrders", ADMIN)
        .permit_query("GetInventory", VIEWER)
        .permit_query("GetAllInventory", VIEWER)
        .permit_query("inventory.state", VIEWER)
        .permit_query("inventory.outcome", MANAGER)
        .permit_query("inventory.events", ADMIN)
        .permit_query("GetCustomerTotals", ADMIN)
        .permit_query("GetAllCustomerTotals", ADMIN)
        .permit_query("GetDailySales", ADMIN)
        .permit_query("GetAllDailySales", ADMIN)
}
