-- Which journal the views are of: one row, once it has an event.
CREATE TABLE of_journal (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    first_event text NOT NULL
);
