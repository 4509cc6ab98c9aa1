//! The tables.

use dormouse_storage::postgres::Schema;

/// The tables of the queues. The lock is "dorqueue" in ASCII.
pub(super) static QUEUE: Schema = Schema {
    versions: "dormouse_queue_schema",
    tables: &["owner", "consumer", "progress", "done", "job", "timer", "switch", "setting"],
    lock: 0x646f_7271_7565_7565,
    migrations: &[include_str!("schema/1_queue.sql"), include_str!("schema/2_setting.sql")],
};
