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
    /// Time and position of the last event that was not `LineAdded`.
    pub(super) turned_at: String,
    pub(super) turned: u64,
    id: String,
    email: Value,
    lines: Vec<Value>,
    tracking: Value,
    cancelled_because: Value,
    confirmed_at: Option<String>,
    shipped_at: Option<String>,
    cancelled_at: Option<String>,
    updated_at: String,
    position: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    Confirmed,
    Shipped,
    Cancelled,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
        }
    }
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
                self.placed_at.clone_from(&now);
                self.status = Some(Status::Open);
                data["lines"].as_array().into_iter().flatten().for_each(|line| self.take(line));
            }
            ("LineAdded", Some(Status::Open)) => self.take(data),
            ("OrderConfirmed", Some(Status::Open)) => {
                self.status = Some(Status::Confirmed);
                self.was_confirmed = true;
                self.confirmed_at = Some(now.clone());
            }
            ("OrderShipped", Some(Status::Confirmed)) => {
                self.status = Some(Status::Shipped);
                self.tracking = data["tracking"].clone();
                self.shipped_at = Some(now.clone());
            }
            ("OrderCancelled", Some(Status::Open | Status::Confirmed)) => {
                self.status = Some(Status::Cancelled);
                self.cancelled_because = data["reason"].clone();
                self.cancelled_at = Some(now.clone());
            }
            (name, status) => return Err(format!("{name} of order {id}, which was {status:?}")),
        }
        if name != "LineAdded" {
            (self.turned_at, self.turned) = (now.clone(), position);
        }
        (self.updated_at, self.position) = (now, position);
        Ok(())
    }

    pub(super) fn kept(&self) -> ViewDocument {
        let document = json!({
            "order": self.id,
            "status": self.status.map(Status::name),
            "customer": self.customer,
            "email": self.email,
            "lines": self.lines,
            "total_cents": self.total_cents,
            "tracking": self.tracking,
            "cancelled_because": self.cancelled_because,
            "placed_at": self.placed_at,
            "confirmed_at": self.confirmed_at,
            "shipped_at": self.shipped_at,
            "cancelled_at": self.cancelled_at,
            "updated_at": self.updated_at,
        });
        ViewDocument { document, position: self.position }
    }

    fn take(&mut self, line: &Value) {
        let number = |field: &str| line[field].as_i64().unwrap_or_default();
        self.total_cents += number("quantity") * number("unit_price_cents");
        self.lines.push(line.clone());
    }
}
