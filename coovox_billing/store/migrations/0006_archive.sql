-- Calls that were moved into files: what balances, totals and late news still ask of them, in as few bytes as will do.
CREATE TABLE archived_calls (
    call_id      TEXT PRIMARY KEY,
    state        TEXT NOT NULL CHECK (state IN ('refused', 'settled', 'released')),
    account_id   INTEGER REFERENCES accounts (id),
    local_day    TEXT NOT NULL,
    trunk        TEXT NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL
) WITHOUT ROWID;

-- The files, each with its month and how many calls were moved into it.
CREATE TABLE archive_files (
    path  TEXT PRIMARY KEY,
    month TEXT NOT NULL,
    calls INTEGER NOT NULL
) WITHOUT ROWID;

-- A call is in one of the two tables, and can only move from the first into the second. Nothing was left uncollected of one that did.
CREATE VIEW booked_calls AS
    SELECT call_id, state, account_id, local_day, trunk, talk_seconds, cost_micros, uncollected_micros FROM calls
    UNION ALL
    SELECT call_id, state, account_id, local_day, trunk, talk_seconds, cost_micros, 0 FROM archived_calls;

CREATE TRIGGER archived_calls_refuse_what_is_no_call BEFORE INSERT ON archived_calls
WHEN NOT EXISTS (
    SELECT 1 FROM calls WHERE call_id = NEW.call_id AND state = NEW.state AND account_id IS NEW.account_id
    AND local_day = NEW.local_day AND trunk = NEW.trunk AND talk_seconds = NEW.talk_seconds
    AND cost_micros = NEW.cost_micros AND uncollected_micros = 0 AND flags = ''
) OR EXISTS (SELECT 1 FROM archived_calls WHERE call_id = NEW.call_id)
BEGIN SELECT RAISE(ABORT, 'only a call that is over can be archived, and once'); END;

CREATE TRIGGER archived_calls_refuse_update BEFORE UPDATE ON archived_calls
BEGIN SELECT RAISE(ABORT, 'an archived call is never changed'); END;

CREATE TRIGGER archived_calls_refuse_delete BEFORE DELETE ON archived_calls
BEGIN SELECT RAISE(ABORT, 'an archived call is never forgotten'); END;

CREATE TRIGGER calls_refuse_delete BEFORE DELETE ON calls
WHEN NOT EXISTS (SELECT 1 FROM archived_calls WHERE call_id = OLD.call_id)
BEGIN SELECT RAISE(ABORT, 'a call is never deleted: it is archived'); END;

CREATE TRIGGER calls_refuse_return BEFORE INSERT ON calls
WHEN EXISTS (SELECT 1 FROM archived_calls WHERE call_id = NEW.call_id)
BEGIN SELECT RAISE(ABORT, 'this call is over and archived'); END;

-- The ledger, entry by entry as it is, but that a call id may stand in either table: SQLite has no such reference.
CREATE TABLE new_ledger (
    id                    INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id            INTEGER NOT NULL REFERENCES accounts (id),
    kind                  TEXT NOT NULL CHECK (kind IN ('recharge', 'call', 'correction', 'payment-type')),
    amount_micros         INTEGER NOT NULL CHECK (amount_micros % 100 = 0),
    balance_before_micros INTEGER NOT NULL,
    balance_after_micros  INTEGER NOT NULL,
    call_id               TEXT,
    reason                TEXT NOT NULL DEFAULT '',
    actor                 TEXT NOT NULL,
    at_ms                 INTEGER NOT NULL,
    undoes                INTEGER REFERENCES new_ledger (id),
    CHECK (balance_after_micros = balance_before_micros + amount_micros),
    CHECK ((kind = 'call') = (call_id IS NOT NULL) OR kind = 'correction')
);
INSERT INTO new_ledger SELECT id, account_id, kind, amount_micros, balance_before_micros, balance_after_micros, call_id,
    reason, actor, at_ms, undoes FROM ledger ORDER BY id;
-- Ids go on where they were, so that the audit counts them as before.
DELETE FROM sqlite_sequence WHERE name = 'new_ledger';
INSERT INTO sqlite_sequence (name, seq) SELECT 'new_ledger', seq FROM sqlite_sequence WHERE name = 'ledger';
DROP TABLE ledger;
ALTER TABLE new_ledger RENAME TO ledger;

CREATE INDEX ledger_account ON ledger (account_id, id);
CREATE UNIQUE INDEX ledger_one_charge_per_call ON ledger (call_id) WHERE kind = 'call';
CREATE UNIQUE INDEX ledger_one_undo_per_entry ON ledger (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX ledger_payments ON ledger (at_ms) WHERE call_id IS NULL;
CREATE INDEX ledger_account_payments ON ledger (account_id, id) WHERE call_id IS NULL;

CREATE TRIGGER ledger_refuses_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: post a correction instead'); END;

CREATE TRIGGER ledger_refuses_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: post a correction instead'); END;

-- INSERT OR REPLACE would delete the row in its way without firing the delete trigger.
CREATE TRIGGER ledger_refuses_overwrite BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM ledger WHERE id = NEW.id)
  OR (NEW.kind = 'call' AND EXISTS (SELECT 1 FROM ledger WHERE kind = 'call' AND call_id = NEW.call_id))
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: an entry cannot be overwritten'); END;

CREATE TRIGGER ledger_refuses_unknown_call BEFORE INSERT ON ledger
WHEN NEW.call_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM calls WHERE call_id = NEW.call_id)
BEGIN SELECT RAISE(ABORT, 'a charge needs its call'); END;
