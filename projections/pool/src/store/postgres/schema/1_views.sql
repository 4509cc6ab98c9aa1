-- One making of a view. Its chain is that of the event at its position: it shows that the view belongs to the journal.
-- At most one build of a view is served and at most one is not. The rows are few, and each commit updates one: room
-- beside it lets it stay in its page.
CREATE TABLE builds (
    build bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    view text COLLATE "C" NOT NULL,
    is_serving boolean NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    chain bytea NOT NULL,
    UNIQUE (view, is_serving)
) WITH (fillfactor = 10);

-- Views that an operator wants to stay where they are.
CREATE TABLE paused (
    view text COLLATE "C" PRIMARY KEY
);

-- Events that wait outside a build.
CREATE TABLE parked (
    build bigint NOT NULL,
    position bigint NOT NULL,
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    reason text,
    attempts bigint NOT NULL,
    PRIMARY KEY (build, position)
);

CREATE INDEX parked_by_aggregate ON parked (build, aggregate_type, aggregate_id, position);
