-- Times are microseconds since 1970-01-01 UTC. A destroyed key has no bytes.
-- Names of wrapping keys are compared byte by byte.
CREATE TABLE data_key (
    id bytea PRIMARY KEY,
    subject bytea NOT NULL,
    wrapping_key text COLLATE "C",
    wrapped bytea,
    created_at bigint NOT NULL,
    destroyed_at bigint
);
CREATE UNIQUE INDEX data_key_live ON data_key (subject) WHERE destroyed_at IS NULL;
CREATE INDEX data_key_by_subject ON data_key (subject);
