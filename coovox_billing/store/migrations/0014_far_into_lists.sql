-- On how many days of a period an account had answered calls: so a list of its days is counted by the month.
ALTER TABLE daily_extension_totals ADD COLUMN days INTEGER GENERATED ALWAYS AS (calls > 0) VIRTUAL;
ALTER TABLE finished_extension_totals ADD COLUMN days INTEGER NOT NULL DEFAULT 0;

-- What was summed up without them waits to be summed up anew, as the time up to the end of each day of a running month
-- does, which is `..2026-03-05`.
DELETE FROM finished_periods;

-- The order in which rates are preferred holds what a list of them is searched by, so that only those shown are read.
DROP INDEX rates_precedence;
CREATE INDEX rates_precedence ON rates (precedence, id, prefix, remark);
