-- Months and years that are over, summed up out of their days, and the days of those months, as `2026`, `2026-02` and
-- `2026-02-28`: with how many extensions had answered calls, and what those sum to. Where something is told of such a
-- day later, the lines of the day, its month and its year go, and with them what is summed up below: it counts only
-- together with its line, until somebody sums it up anew.
CREATE TABLE finished_periods (
    period       TEXT PRIMARY KEY,
    extensions   INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE finished_extension_totals (
    period       TEXT NOT NULL,
    account_id   INTEGER NOT NULL REFERENCES accounts (id),
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (period, account_id)
) WITHOUT ROWID;

CREATE TABLE finished_trunk_totals (
    period       TEXT NOT NULL,
    trunk        TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    unanswered   INTEGER NOT NULL,
    refused      INTEGER NOT NULL,
    PRIMARY KEY (period, trunk)
) WITHOUT ROWID;

-- By weekday as `strftime('%w')` has it, Sunday 0, and by hour: as one number, `weekday * 24 + hour`.
CREATE TABLE finished_hour_totals (
    period       TEXT NOT NULL,
    hour_of_week INTEGER NOT NULL CHECK (hour_of_week BETWEEN 0 AND 167),
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (period, hour_of_week)
) WITHOUT ROWID;

CREATE TABLE finished_destination_totals (
    period       TEXT NOT NULL,
    destination  TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (period, destination)
) WITHOUT ROWID;

-- Calls that were refused are counted as unanswered ones are: so the totals of a day know all of its calls that are over.
ALTER TABLE daily_trunk_totals ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;

INSERT INTO daily_trunk_totals (day, trunk, calls, talk_seconds, cost_micros, refused)
    SELECT local_day, trunk, 0, 0, 0, count(*) FROM booked_calls WHERE state = 'refused' GROUP BY local_day, trunk
    ON CONFLICT (day, trunk) DO UPDATE SET refused = excluded.refused;

DROP TRIGGER unanswered_calls_count_at_once;
DROP TRIGGER unanswered_calls_count;
DROP TRIGGER unanswered_calls_count_no_more;

CREATE TRIGGER calls_without_talk_count_at_once AFTER INSERT ON calls WHEN NEW.state IN ('released', 'refused')
BEGIN
    INSERT INTO daily_trunk_totals (day, trunk, calls, talk_seconds, cost_micros, unanswered, refused)
        VALUES (NEW.local_day, NEW.trunk, 0, 0, 0, NEW.state = 'released', NEW.state = 'refused')
        ON CONFLICT (day, trunk) DO UPDATE SET
            unanswered = unanswered + excluded.unanswered, refused = refused + excluded.refused;
    DELETE FROM finished_periods
        WHERE period IN (NEW.local_day, substr(NEW.local_day, 1, 7), substr(NEW.local_day, 1, 4));
END;

CREATE TRIGGER calls_without_talk_count AFTER UPDATE OF state ON calls
WHEN NEW.state IN ('released', 'refused') AND OLD.state <> NEW.state
BEGIN
    INSERT INTO daily_trunk_totals (day, trunk, calls, talk_seconds, cost_micros, unanswered, refused)
        VALUES (NEW.local_day, NEW.trunk, 0, 0, 0, NEW.state = 'released', NEW.state = 'refused')
        ON CONFLICT (day, trunk) DO UPDATE SET
            unanswered = unanswered + excluded.unanswered, refused = refused + excluded.refused;
    DELETE FROM finished_periods
        WHERE period IN (NEW.local_day, substr(NEW.local_day, 1, 7), substr(NEW.local_day, 1, 4));
END;

CREATE TRIGGER calls_without_talk_count_no_more AFTER UPDATE OF state ON calls
WHEN OLD.state IN ('released', 'refused') AND OLD.state <> NEW.state
BEGIN
    UPDATE daily_trunk_totals
        SET unanswered = unanswered - (OLD.state = 'released'), refused = refused - (OLD.state = 'refused')
        WHERE day = OLD.local_day AND trunk = OLD.trunk;
    DELETE FROM finished_periods
        WHERE period IN (OLD.local_day, substr(OLD.local_day, 1, 7), substr(OLD.local_day, 1, 4));
END;

-- Numbers that begin alike lie together.
CREATE INDEX calls_number ON calls (number, asked_at_ms);
