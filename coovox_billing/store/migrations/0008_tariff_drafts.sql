-- Tariffs that wait: the whole list of rates as CSV, and when it is to be the one that counts.
CREATE TABLE tariff_drafts (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL,
    state           TEXT NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'scheduled', 'active', 'taken-back')),
    rates           TEXT NOT NULL,
    rate_count      INTEGER NOT NULL CHECK (rate_count > 0),
    changed_at_ms   INTEGER NOT NULL,
    changed_by      TEXT NOT NULL,
    activate_at_ms  INTEGER,
    scheduled_by    TEXT NOT NULL DEFAULT '',
    activated_at_ms INTEGER,
    activated_by    TEXT NOT NULL DEFAULT '',
    -- Counts activations: clocks are set, so that no time tells which was the last.
    activation      INTEGER UNIQUE,
    -- The rates that it replaced, with their ids: as JSON.
    rates_before    TEXT,
    CHECK ((state = 'scheduled') = (activate_at_ms IS NOT NULL)),
    CHECK ((state IN ('active', 'taken-back')) = (activated_at_ms IS NOT NULL)),
    CHECK ((activated_at_ms IS NULL) = (activation IS NULL)),
    CHECK ((state = 'active') = (rates_before IS NOT NULL))
);

-- Calls that no rate matched are few, and looked for among all the others.
CREATE INDEX calls_without_rate ON calls (asked_at_ms, local_day, number, talk_seconds, cost_micros) WHERE reason = 'no-rate';
