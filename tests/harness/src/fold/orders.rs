//! The view `orders`.

use serde_json::{Value, json};

use super::ViewDocument;

/// The current state of an order.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    pub(super) status: Option<Status>,
    pub(super) customer: String,
    pub(super) total_cents: i64,
    /// The order was confirmed at some time, also if it was cancelled later.
    pub(super) was_confirmed: bool,
    pub(super) placed_at: String,
    /// Time and position of the last event that changed the status.
    pub(super) turned_at: String,
    pub(super) turned: u64,
    id: String,
    owner: Option<Value>,
    email: Value,
    lines: Vec<Value>,
    tracking: Value,
    cancelled_because: Value,
    rejected_because: Value,
    reservation: Option<&'static str>,
    confirmed_at: Option<String>,
    reserved_at: Option<String>,
    shipped_at: Option<String>,
    cancelled_at: Option<String>,
    rejected_at: Option<String>,
    updated_at: String,
    position: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    Confirmed,
    Shipped,
    Cancelled,
    Rejected,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }
}

/// Whether an event of this name changes the status of its order.
pub(super) fn is_turn(name: &str) -> bool {
    !["LineAdded", "LineReserved", "StockReserved"].contains(&name)
}

impl Order {
    pub(super) fn apply(
        &mut self,
        id: &str,
        name: &str,
        data: &Value,
        now: String,
        position: u64,
    ) -> Result<(), String> {
        match (name, self.status) {
            ("OrderCreated", None) => {
                id.clone_into(&mut self.id);
                data["customer"].as_str().unwrap_or_default().clone_into(&mut self.customer);
                self.email = data["email"].clone();
                self.owner = data.get("owner").cloned();
                self.placed_at.clone_from(&now);
                self.status = Some(Status::Open);
                data["lines"].as_array().into_iter().flatten().for_each(|line| self.take(line));
            }
            ("LineAdded", Some(Status::Open)) => self.take(data),
            ("OrderConfirmed", Some(Status::Open)) => {
                self.status = Some(Status::Confirmed);
                self.was_confirmed = true;
                // An older version does not say it: its orders reserve nothing.
                self.reservation = (data["reserves"] == true).then_some("pending");
                self.confirmed_at = Some(now.clone());
            }
            ("LineReserved", Some(Status::Confirmed)) if self.reservation == Some("pending") => {}
            ("StockReserved", Some(Status::Confirmed)) if self.reservation == Some("pending") => {
                self.reservation = Some("reserved");
                self.reserved_at = Some(now.clone());
            }
            ("OrderRejected", Some(Status::Confirmed)) if self.reservation == Some("pending") => {
                self.status = Some(Status::Rejected);
                self.rejected_because = json!({"sku": data["sku"], "code": data["code"]});
                self.reservation = Some("released");
                self.rejected_at = Some(now.clone());
            }
            ("OrderShipped", Some(Status::Confirmed)) if self.reservation != Some("pending") => {
                self.status = Some(Status::Shipped);
                self.reservation = self.reservation.map(|_| "committed");
                self.tracking = data["tracking"].clone();
                self.shipped_at = Some(now.clone());
            }
            ("OrderCancelled", Some(Status::Open | Status::Confirmed)) => {
                self.status = Some(Status::Cancelled);
                self.reservation = self.reservation.map(|_| "released");
                self.cancelled_because = data["reason"].clone();
                self.cancelled_at = Some(now.clone());
            }
            (name, status) => return Err(format!("{name} of order {id}, which was {status:?}")),
        }
        if is_turn(name) {
            (self.turned_at, self.turned) = (now.clone(), position);
        }
        (self.updated_at, self.position) = (now, position);
        Ok(())
    }

    pub(super) fn kept(&self) -> ViewDocument {
        let mut document = json!({
            "order": self.id,
            "status": self.status.map(Status::name),
            "customer": self.customer,
            "email": self.email,
            "lines": self.lines,
            "total_cents": self.total_cents,
            "tracking": self.tracking,
            "cancelled_because": self.cancelled_because,
            "rejected_because": self.rejected_because,
            "reservation": self.reservation,
            "placed_at": self.placed_at,
            "confirmed_at": self.confirmed_at,
            "reserved_at": self.reserved_at,
            "shipped_at": self.shipped_at,
            "cancelled_at": self.cancelled_at,
            "rejected_at": self.rejected_at,
            "updated_at": self.updated_at,
        });
        if let Some(owner) = &self.owner {
            document["owner"] = owner.clone();
        }
        ViewDocument { document, position: self.position }
    }

    fn take(&mut self, line: &Value) {
        let number = |field: &str| line[field].as_i64().unwrap_or_default();
        self.total_cents += number("quantity") * number("unit_price_cents");
        self.lines.push(line.clone());
    }
}
