//! The result of a migration.

/// Schema versions before and after a migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The schema version before; zero for a new database.
    pub from: i64,
    /// The schema version now.
    pub to: i64,
}
