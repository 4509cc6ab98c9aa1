-- The log. Its order is that of commits: positions come from log_head, whose row every append updates.
CREATE TABLE events (
    position bigint PRIMARY KEY,
    slice smallint NOT NULL,
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    event_type text NOT NULL,
    schema_version integer NOT NULL,
    payload bytea NOT NULL,
    metadata bytea NOT NULL,
    -- Microseconds since 1970-01-01 UTC.
    recorded_at bigint NOT NULL,
    -- On the first event of a command that had a key.
    command_key text COLLATE "C",
    chain bytea NOT NULL,
    CONSTRAINT events_version UNIQUE (aggregate_type, aggregate_id, version)
);

CREATE UNIQUE INDEX events_command ON events (aggregate_type, aggregate_id, command_key)
    WHERE command_key IS NOT NULL;

-- Times grow with positions, so a few pages are enough to find a day.
CREATE INDEX events_recorded_at ON events USING brin (recorded_at);

-- Who may append, and where the log ends. One row; room beside it lets every update stay in its page.
CREATE TABLE log_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch bigint NOT NULL,
    position bigint NOT NULL,
    -- The acquisition that made this epoch, so that one whose answer was lost recognizes itself.
    acquisition text COLLATE "C"
) WITH (fillfactor = 10);

INSERT INTO log_head (epoch, position) VALUES (0, 0);

-- A cache: losing rows loses nothing.
CREATE TABLE snapshots (
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    chain bytea NOT NULL,
    recorded_at bigint NOT NULL,
    snapshot_version integer NOT NULL,
    body bytea NOT NULL,
    taken_at bigint NOT NULL,
    checksum bytea NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, version)
);
