-- On how many days of a period an account had answered calls: so a list of its days is counted by the month.
ALTER TABLE daily_extension_totals ADD COLUMN days INTEGER GENERATED ALWAYS AS (calls > 0) VIRTUAL;
ALTER TABLE finished_extension_totals ADD COLUMN days INTEGER NOT NULL DEFAULT 0;

-- What was summed up without them waits to be summed up anew, as the time up to the end of each day of a running month
-- does, which is `..2026-03-05`.
DELETE FROM finished_periods;

-- Each column by which the list of rates is sorted is an index, so that only those shown are read.
CREATE INDEX rates_remark ON rates (remark);
CREATE INDEX rates_length ON rates (number_length);
CREATE INDEX rates_initial ON rates (initial_cost_micros);
CREATE INDEX rates_rate ON rates (rate_micros);
CREATE INDEX rates_start ON rates (start_time);
