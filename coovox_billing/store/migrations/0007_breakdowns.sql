-- At which hour of the site's day it was dialed, fixed then as the day is; none of calls from before this was kept.
ALTER TABLE calls ADD COLUMN local_hour INTEGER CHECK (local_hour BETWEEN 0 AND 23);

-- By hour, and by destination: the prefix of the rate that priced the call, `none` where none did.
CREATE TABLE daily_hour_totals (
    day          TEXT NOT NULL,
    hour         INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (day, hour)
) WITHOUT ROWID;

CREATE TABLE daily_destination_totals (
    day          TEXT NOT NULL,
    destination  TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (day, destination)
) WITHOUT ROWID;

INSERT INTO daily_destination_totals (day, destination, calls, talk_seconds, cost_micros)
    SELECT local_day, coalesce(json_extract(rate, '$.prefix'), 'none'), count(*), sum(talk_seconds), sum(cost_micros)
    FROM calls WHERE state = 'settled' GROUP BY 1, 2;

-- Calls that a trunk was tried for and nobody answered, as far as is known: counted as they are released, and taken out
-- again where it turns out otherwise, or another trunk is tried.
ALTER TABLE daily_trunk_totals ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0;

INSERT INTO daily_trunk_totals (day, trunk, calls, talk_seconds, cost_micros, unanswered)
    SELECT local_day, trunk, 0, 0, 0, count(*) FROM booked_calls WHERE state = 'released' GROUP BY local_day, trunk
    ON CONFLICT (day, trunk) DO UPDATE SET unanswered = excluded.unanswered;

CREATE TRIGGER unanswered_calls_count_at_once AFTER INSERT ON calls WHEN NEW.state = 'released'
BEGIN
    INSERT INTO daily_trunk_totals (day, trunk, calls, talk_seconds, cost_micros, unanswered)
        VALUES (NEW.local_day, NEW.trunk, 0, 0, 0, 1)
        ON CONFLICT (day, trunk) DO UPDATE SET unanswered = unanswered + 1;
END;

CREATE TRIGGER unanswered_calls_count AFTER UPDATE OF state ON calls WHEN NEW.state = 'released' AND OLD.state <> 'released'
BEGIN
    INSERT INTO daily_trunk_totals (day, trunk, calls, talk_seconds, cost_micros, unanswered)
        VALUES (NEW.local_day, NEW.trunk, 0, 0, 0, 1)
        ON CONFLICT (day, trunk) DO UPDATE SET unanswered = unanswered + 1;
END;

CREATE TRIGGER unanswered_calls_count_no_more AFTER UPDATE OF state ON calls
WHEN OLD.state = 'released' AND NEW.state <> 'released'
BEGIN
    UPDATE daily_trunk_totals SET unanswered = unanswered - 1 WHERE day = OLD.local_day AND trunk = OLD.trunk;
END;

-- What is archived keeps where it was counted; not known of what was archived before.
ALTER TABLE archived_calls ADD COLUMN local_hour INTEGER;
ALTER TABLE archived_calls ADD COLUMN destination TEXT;

DROP VIEW booked_calls;
CREATE VIEW booked_calls AS
    SELECT call_id, state, account_id, local_day, local_hour, trunk, coalesce(json_extract(rate, '$.prefix'), 'none') AS destination,
        talk_seconds, cost_micros, uncollected_micros FROM calls
    UNION ALL
    SELECT call_id, state, account_id, local_day, local_hour, trunk, destination, talk_seconds, cost_micros, 0
    FROM archived_calls;

DROP TRIGGER archived_calls_refuse_what_is_no_call;
CREATE TRIGGER archived_calls_refuse_what_is_no_call BEFORE INSERT ON archived_calls
WHEN NOT EXISTS (
    SELECT 1 FROM calls WHERE call_id = NEW.call_id AND state = NEW.state AND account_id IS NEW.account_id
    AND local_day = NEW.local_day AND local_hour IS NEW.local_hour AND trunk = NEW.trunk
    AND coalesce(json_extract(rate, '$.prefix'), 'none') = NEW.destination AND talk_seconds = NEW.talk_seconds
    AND cost_micros = NEW.cost_micros AND uncollected_micros = 0 AND flags = ''
) OR EXISTS (SELECT 1 FROM archived_calls WHERE call_id = NEW.call_id)
BEGIN SELECT RAISE(ABORT, 'only a call that is over can be archived, and once'); END;
