-- Times are microseconds since 1970-01-01 UTC. A slice says to which shard a row belongs, for whatever number of shards.

-- Who may write: the owner of the journal with this epoch. The term is the number of the acquisition: a store acquires
-- again after a statement whose outcome it does not know. One row; room beside it lets every update stay in its page.
CREATE TABLE owner (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch bigint NOT NULL,
    term bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO owner (epoch, term) VALUES (0, 0);

-- The consumers that have ever committed.
CREATE TABLE consumer (
    name text COLLATE "C" PRIMARY KEY
);

CREATE TABLE progress (
    consumer text COLLATE "C" NOT NULL,
    shards bigint NOT NULL,
    shard bigint NOT NULL,
    low bigint NOT NULL,
    PRIMARY KEY (consumer, shards, shard)
) WITH (fillfactor = 50);

CREATE TABLE done (
    consumer text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (consumer, position)
);

CREATE TABLE job (
    consumer text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    part bigint NOT NULL,
    slice smallint NOT NULL,
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    subject text NOT NULL,
    state text COLLATE "C" NOT NULL,
    due bigint,
    attempts bytea NOT NULL,
    attempts_allowed bigint NOT NULL,
    last_error text,
    payload bytea,
    PRIMARY KEY (consumer, position, part)
);

CREATE INDEX job_by_state ON job (consumer, state, position, part);

CREATE INDEX job_by_due ON job (consumer, due, position, part) WHERE state = 'waiting';

CREATE INDEX job_by_sequence ON job (consumer, aggregate_id, aggregate_type, position, part);

-- Without dead letters: a consumer whose dead letters hold nothing back must not read them.
CREATE INDEX job_held ON job (consumer, aggregate_id, aggregate_type) WHERE state <> 'dead';

CREATE TABLE timer (
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    slice smallint NOT NULL,
    due bigint NOT NULL,
    position bigint NOT NULL,
    set_at bigint NOT NULL,
    schedule bytea NOT NULL,
    command bytea NOT NULL,
    PRIMARY KEY (aggregate_id, aggregate_type, name)
);

CREATE INDEX timer_by_due ON timer (due, aggregate_type, aggregate_id, name);

CREATE TABLE switch (
    consumer text COLLATE "C" PRIMARY KEY,
    paused boolean NOT NULL,
    disabled boolean NOT NULL
);
