//! The purposes of connections, with their settings.

use dormouse_storage::postgres::Purpose;

/// Every query of the journal has its index. While the tables are small the planner would scan them, and keep that plan
/// as they grow. `log_head` is scanned nevertheless: it is one page.
const BY_INDEX: [(&str, &str); 2] = [("enable_seqscan", "off"), ("enable_bitmapscan", "off")];

/// An append must be durable when its statement returns, whatever the server's default.
const DURABLE: &[(&str, &str)] = &[BY_INDEX[0], BY_INDEX[1], ("synchronous_commit", "on")];

/// Migrations.
pub(super) const SCHEMA: Purpose =
    Purpose { name: "dormouse schema", settings: DURABLE, statement_timeout: None, is_urgent: true };

/// Taking over and appending.
pub(super) const WRITE: Purpose = Purpose { name: "dormouse writer", ..SCHEMA };

/// Lookups of the writer before it appends.
pub(super) const CHECK: Purpose = Purpose { name: "dormouse checks", ..SCHEMA };

/// Everything else. It writes only snapshots, and those may be lost.
pub(super) const READ: Purpose = Purpose {
    name: "dormouse reader",
    settings: &[BY_INDEX[0], BY_INDEX[1], ("synchronous_commit", "off")],
    is_urgent: false,
    ..SCHEMA
};

/// Pages of the log, from a replica.
pub(super) const READ_REPLICA: Purpose = Purpose { settings: &BY_INDEX, ..READ };
