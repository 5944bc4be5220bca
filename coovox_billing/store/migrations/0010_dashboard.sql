-- How many calls a trunk carries at once; 0 where nobody has told.
ALTER TABLE trunks ADD COLUMN channels INTEGER NOT NULL DEFAULT 0 CHECK (channels >= 0);

-- What the dashboard counts of the last days is found among the few calls that somebody should look at.
CREATE INDEX calls_flagged ON calls (asked_at_ms, local_day, flags, talk_seconds, cost_micros) WHERE flags <> '';
CREATE INDEX calls_without_payer ON calls (asked_at_ms, local_day, talk_seconds, cost_micros) WHERE reason = 'no-payer';
