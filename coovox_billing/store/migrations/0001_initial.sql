-- Money is in micros, instants are milliseconds since 1970 in UTC, days are the site's.

CREATE TABLE site (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE accounts (
    id             INTEGER PRIMARY KEY,
    extension      TEXT NOT NULL,
    name           TEXT NOT NULL DEFAULT '',
    billing        INTEGER NOT NULL DEFAULT 0 CHECK (billing IN (0, 1)),
    payment_type   TEXT NOT NULL DEFAULT 'prepaid' CHECK (payment_type IN ('prepaid', 'postpaid')),
    status         TEXT NOT NULL DEFAULT 'unlocked' CHECK (status IN ('locked', 'unlocked')),
    balance_micros INTEGER NOT NULL DEFAULT 0 CHECK (balance_micros % 100 = 0),
    credit_micros  INTEGER NOT NULL DEFAULT 0 CHECK (credit_micros >= 0 AND credit_micros % 100 = 0),
    held_micros    INTEGER NOT NULL DEFAULT 0 CHECK (held_micros >= 0 AND held_micros % 100 = 0),
    opened_at_ms   INTEGER NOT NULL,
    closed_at_ms   INTEGER
);
CREATE UNIQUE INDEX accounts_open_extension ON accounts (extension) WHERE closed_at_ms IS NULL;

CREATE TABLE devices (
    device     TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id)
);
CREATE INDEX devices_account ON devices (account_id);

-- What outbound routes dial; never a payer.
CREATE TABLE trunks (
    device TEXT PRIMARY KEY,
    name   TEXT NOT NULL
);

CREATE TABLE rates (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    active              INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    remark              TEXT NOT NULL DEFAULT '',
    prefix              TEXT NOT NULL,
    number_length       INTEGER NOT NULL CHECK (number_length >= 0),
    initial_cost_micros INTEGER NOT NULL CHECK (initial_cost_micros >= 0),
    initial_seconds     INTEGER NOT NULL CHECK (initial_seconds >= 0),
    rate_micros         INTEGER NOT NULL CHECK (rate_micros >= 0),
    unit_seconds        INTEGER NOT NULL CHECK (unit_seconds >= 1),
    start_time          TEXT NOT NULL,
    end_time            TEXT NOT NULL,
    days                TEXT NOT NULL CHECK (days <> ''),
    all_extensions      INTEGER NOT NULL CHECK (all_extensions IN (0, 1))
);
CREATE INDEX rates_prefix ON rates (prefix);

CREATE TABLE rate_extensions (
    rate_id   INTEGER NOT NULL REFERENCES rates (id) ON DELETE CASCADE,
    extension TEXT NOT NULL,
    PRIMARY KEY (rate_id, extension)
);

CREATE TABLE calls (
    id                 INTEGER PRIMARY KEY,
    call_id            TEXT NOT NULL UNIQUE,
    state              TEXT NOT NULL CHECK (state IN ('asked', 'refused', 'held', 'talking', 'settled', 'released')),
    reason             TEXT NOT NULL DEFAULT '',
    account_id         INTEGER REFERENCES accounts (id),
    extension          TEXT NOT NULL DEFAULT '',
    device             TEXT NOT NULL DEFAULT '',
    number_dialed      TEXT NOT NULL,
    number             TEXT NOT NULL,
    trunk              TEXT NOT NULL DEFAULT '',
    attempts           INTEGER NOT NULL DEFAULT 1,
    asked_at_ms        INTEGER NOT NULL,
    attempt_stamp_ms   INTEGER NOT NULL DEFAULT 0,
    answered_at_ms     INTEGER,
    ended_at_ms        INTEGER,
    local_day          TEXT NOT NULL,
    talk_seconds       INTEGER NOT NULL DEFAULT 0 CHECK (talk_seconds >= 0),
    hold_micros        INTEGER NOT NULL DEFAULT 0 CHECK (hold_micros >= 0),
    limit_seconds      INTEGER,
    cost_micros        INTEGER NOT NULL DEFAULT 0 CHECK (cost_micros >= 0),
    uncollected_micros INTEGER NOT NULL DEFAULT 0 CHECK (uncollected_micros >= 0),
    rate               TEXT,
    why                TEXT NOT NULL DEFAULT '[]',
    settled_late       INTEGER NOT NULL DEFAULT 0 CHECK (settled_late IN (0, 1)),
    flags              TEXT NOT NULL DEFAULT '',
    hangup_cause       TEXT NOT NULL DEFAULT '',
    caller_uniqueid    TEXT NOT NULL DEFAULT '',
    trunk_uniqueid     TEXT NOT NULL DEFAULT '',
    linkedid           TEXT NOT NULL DEFAULT '',
    CHECK (state IN ('held', 'talking') OR hold_micros = 0)
);
CREATE INDEX calls_asked ON calls (asked_at_ms);
CREATE INDEX calls_extension ON calls (extension, asked_at_ms);

CREATE TABLE ledger (
    id                    INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id            INTEGER NOT NULL REFERENCES accounts (id),
    kind                  TEXT NOT NULL CHECK (kind IN ('recharge', 'call', 'correction', 'payment-type')),
    amount_micros         INTEGER NOT NULL CHECK (amount_micros % 100 = 0),
    balance_before_micros INTEGER NOT NULL,
    balance_after_micros  INTEGER NOT NULL,
    call_id               TEXT REFERENCES calls (call_id),
    reason                TEXT NOT NULL DEFAULT '',
    actor                 TEXT NOT NULL,
    at_ms                 INTEGER NOT NULL,
    CHECK (balance_after_micros = balance_before_micros + amount_micros),
    CHECK ((kind = 'call') = (call_id IS NOT NULL) OR kind = 'correction')
);
CREATE INDEX ledger_account ON ledger (account_id, id);
CREATE UNIQUE INDEX ledger_one_charge_per_call ON ledger (call_id) WHERE kind = 'call';

CREATE TRIGGER ledger_refuses_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: post a correction instead'); END;

CREATE TRIGGER ledger_refuses_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: post a correction instead'); END;

-- INSERT OR REPLACE would delete the row in its way without firing the delete trigger.
CREATE TRIGGER ledger_refuses_overwrite BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM ledger WHERE id = NEW.id)
  OR (NEW.kind = 'call' AND EXISTS (SELECT 1 FROM ledger WHERE kind = 'call' AND call_id = NEW.call_id))
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: an entry cannot be overwritten'); END;

CREATE TABLE daily_extension_totals (
    day          TEXT NOT NULL,
    account_id   INTEGER NOT NULL REFERENCES accounts (id),
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (day, account_id)
);

CREATE TABLE daily_trunk_totals (
    day          TEXT NOT NULL,
    trunk        TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (day, trunk)
);

-- What the dialplan must know when it is alone, as AstDB keys and values. The
-- revision grows with every change, so that a peer asks only for what is new.
CREATE TABLE mirror (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    key      TEXT NOT NULL UNIQUE,
    value    TEXT NOT NULL
);

-- Every change a person makes: who, when, from where, what was before and after.
CREATE TABLE changes (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms  INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    origin TEXT NOT NULL,
    what   TEXT NOT NULL,
    before TEXT NOT NULL,
    after  TEXT NOT NULL
);
