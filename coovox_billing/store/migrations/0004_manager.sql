-- A guest's stay: since when; none where nobody has checked in.
ALTER TABLE accounts ADD COLUMN checked_in_at_ms INTEGER;
-- The newest ledger entry that was there before it.
ALTER TABLE accounts ADD COLUMN stay_after_entry INTEGER;
-- What the extension was called before the guest came, and is called again when the guest leaves.
ALTER TABLE accounts ADD COLUMN name_before_stay TEXT;

-- Stays that are over, so that the bill can be printed again. What is on it is told by ledger entries, not by time:
-- a call may be settled late, and clocks are set.
CREATE TABLE stays (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id  INTEGER NOT NULL REFERENCES accounts (id),
    guest       TEXT NOT NULL,
    since_ms    INTEGER NOT NULL,
    until_ms    INTEGER NOT NULL,
    after_entry INTEGER NOT NULL,
    last_entry  INTEGER NOT NULL,
    paid_micros INTEGER NOT NULL
);
CREATE INDEX stays_account ON stays (account_id, id);

-- The billing manager asked to end a call in progress.
ALTER TABLE calls ADD COLUMN end_requested INTEGER NOT NULL DEFAULT 0 CHECK (end_requested IN (0, 1));

-- A counter-entry names the entry that it takes back, which can happen once.
ALTER TABLE ledger ADD COLUMN undoes INTEGER REFERENCES ledger (id);
CREATE UNIQUE INDEX ledger_one_undo_per_entry ON ledger (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX ledger_payments ON ledger (at_ms) WHERE call_id IS NULL;
CREATE INDEX ledger_account_payments ON ledger (account_id, id) WHERE call_id IS NULL;

-- Forms that were sent, with what came of it: sent again, they change nothing.
CREATE TABLE submissions (
    token  TEXT PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    answer TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX submissions_age ON submissions (at_ms);

CREATE INDEX rate_extensions_extension ON rate_extensions (extension);

-- Searching, counting and adding up the call log reads this index alone, for a call's own row is long.
DROP INDEX calls_asked;
CREATE INDEX calls_log ON calls (
    asked_at_ms, id, local_day, account_id, extension, number, trunk, state, flags, talk_seconds, cost_micros
);
