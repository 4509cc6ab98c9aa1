-- Where a build was begun, if not at the beginning of the log.
ALTER TABLE builds ADD COLUMN begun_after bigint NOT NULL DEFAULT 0;
