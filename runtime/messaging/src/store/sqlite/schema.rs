//! The tables.

use dormouse_storage::sqlite::Schema;

/// The queues. "DORQ" in ASCII.
pub(super) static QUEUE: Schema = Schema::new(0x444f_5251, &[QUEUE_1, QUEUE_2]);

/// Times are microseconds since 1970-01-01 UTC. A slice says to which shard a row belongs, for whatever number of
/// shards.
///
/// Jobs have a rowid, because attempts and payloads are large, and large rows slow a tree without a rowid. The index
/// `job_held` lacks dead letters: a consumer whose dead letters hold nothing back must not read them.
const QUEUE_1: &str = "
CREATE TABLE owner (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO owner VALUES (1, 0);
CREATE TABLE consumer (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE progress (
    consumer TEXT NOT NULL,
    shards INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    low INTEGER NOT NULL,
    PRIMARY KEY (consumer, shards, shard)
) STRICT, WITHOUT ROWID;
CREATE TABLE done (
    consumer TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (consumer, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE job (
    consumer TEXT NOT NULL,
    position INTEGER NOT NULL,
    part INTEGER NOT NULL,
    slice INTEGER NOT NULL,
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL,
    due INTEGER,
    attempts BLOB NOT NULL,
    attempts_allowed INTEGER NOT NULL,
    last_error TEXT,
    payload BLOB,
    PRIMARY KEY (consumer, position, part)
) STRICT;
CREATE INDEX job_by_state ON job (consumer, state, position, part);
CREATE INDEX job_by_due ON job (consumer, due, position, part) WHERE state = 'waiting';
CREATE INDEX job_by_sequence ON job (consumer, aggregate_id, aggregate_type, position, part);
CREATE INDEX job_held ON job (consumer, aggregate_id, aggregate_type) WHERE state <> 'dead';
CREATE TABLE timer (
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    name TEXT NOT NULL,
    slice INTEGER NOT NULL,
    due INTEGER NOT NULL,
    position INTEGER NOT NULL,
    set_at INTEGER NOT NULL,
    schedule BLOB NOT NULL,
    command BLOB NOT NULL,
    PRIMARY KEY (aggregate_id, aggregate_type, name)
) STRICT;
CREATE UNIQUE INDEX timer_by_due ON timer (due, aggregate_type, aggregate_id, name);
CREATE TABLE switch (
    consumer TEXT PRIMARY KEY,
    paused INTEGER NOT NULL,
    disabled INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

const QUEUE_2: &str = "
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";
