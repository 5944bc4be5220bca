-- Who signs in beside the owner. A name stands in the audit log and in the ledger for good, so that it is never given again.
CREATE TABLE people (
    id                    INTEGER PRIMARY KEY AUTOINCREMENT,
    name                  TEXT NOT NULL UNIQUE,
    remark                TEXT NOT NULL DEFAULT '',
    role                  TEXT NOT NULL CHECK (role IN ('manager', 'cashier', 'auditor')),
    password              TEXT NOT NULL,
    enabled               INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    -- Sessions that began with a smaller one have ended.
    session_epoch         INTEGER NOT NULL DEFAULT 0,
    recharge_limit_micros INTEGER CHECK (recharge_limit_micros > 0),
    daily_limit_micros    INTEGER CHECK (daily_limit_micros > 0),
    created_at_ms         INTEGER NOT NULL,
    signed_in_at_ms       INTEGER,
    CHECK ((role = 'cashier') = (recharge_limit_micros IS NOT NULL)),
    CHECK (role = 'cashier' OR daily_limit_micros IS NULL)
);

CREATE TRIGGER people_refuse_delete BEFORE DELETE ON people
BEGIN SELECT RAISE(ABORT, 'a billing user is disabled, never deleted: the audit log names him'); END;

CREATE TRIGGER people_refuse_another_name BEFORE UPDATE OF name ON people
BEGIN SELECT RAISE(ABORT, 'a billing user keeps his name: the audit log names him'); END;

-- The second factor of whoever has one, the owner among them. It waits until a code of the telephone has confirmed it.
CREATE TABLE second_factors (
    name      TEXT PRIMARY KEY,
    secret    TEXT NOT NULL,
    confirmed INTEGER NOT NULL DEFAULT 0 CHECK (confirmed IN (0, 1)),
    -- The newest step of 30 s since 1970 whose code was used: it and older ones are worth nothing any more.
    last_step INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE recovery_codes (
    name       TEXT NOT NULL REFERENCES second_factors (name) ON DELETE CASCADE,
    hash       TEXT NOT NULL,
    used_at_ms INTEGER,
    PRIMARY KEY (name, hash)
) WITHOUT ROWID;
