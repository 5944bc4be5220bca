-- The totals that each call adds to: found by their keys, and written in one place instead of two.
CREATE TABLE new_extension_totals (
    day          TEXT NOT NULL,
    account_id   INTEGER NOT NULL REFERENCES accounts (id),
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (day, account_id)
) WITHOUT ROWID;
INSERT INTO new_extension_totals (day, account_id, calls, talk_seconds, cost_micros)
    SELECT day, account_id, calls, talk_seconds, cost_micros FROM daily_extension_totals ORDER BY day, account_id;
DROP TABLE daily_extension_totals;
ALTER TABLE new_extension_totals RENAME TO daily_extension_totals;

-- By way of another table: triggers of the calls name this one, so that none can be given its name.
CREATE TABLE old_trunk_totals AS SELECT * FROM daily_trunk_totals;
DROP TABLE daily_trunk_totals;
CREATE TABLE daily_trunk_totals (
    day          TEXT NOT NULL,
    trunk        TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    unanswered   INTEGER NOT NULL DEFAULT 0,
    refused      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, trunk)
) WITHOUT ROWID;
INSERT INTO daily_trunk_totals (day, trunk, calls, talk_seconds, cost_micros, unanswered, refused)
    SELECT day, trunk, calls, talk_seconds, cost_micros, unanswered, refused FROM old_trunk_totals ORDER BY day, trunk;
DROP TABLE old_trunk_totals;

-- The few entries that are no calls' hold what lists of them ask for: what a time moved, what an extension recharged.
DROP INDEX ledger_payments;
CREATE INDEX ledger_payments ON ledger (at_ms, kind, account_id, amount_micros, call_id) WHERE call_id IS NULL;
CREATE INDEX ledger_account_kinds ON ledger (account_id, kind, id, amount_micros, call_id) WHERE call_id IS NULL;

-- The order in which rates are preferred, the lowest first, then by their ids: longer prefixes before shorter ones, a
-- number's length before any, listed extensions before all, then what is open for less time of the week.
ALTER TABLE rates ADD COLUMN precedence INTEGER GENERATED ALWAYS AS (
    (((1000 - length(prefix)) * 2 + (number_length = 0)) * 2 + all_extensions) * 1000000
    + ((substr(end_time, 1, 2) - substr(start_time, 1, 2)) * 3600
       + (substr(end_time, 4, 2) - substr(start_time, 4, 2)) * 60
       + substr(end_time, 7, 2) - substr(start_time, 7, 2) + 86400) % 86400 * length(days) + length(days)
) VIRTUAL;
CREATE INDEX rates_precedence ON rates (precedence);
