-- Small values by name, such as the subscriptions of webhooks.
CREATE TABLE setting (
    name text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);
