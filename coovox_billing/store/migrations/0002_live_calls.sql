-- What a call in progress needs so that it can be lengthened, warned and taken over after a restart.
ALTER TABLE calls ADD COLUMN promised_seconds INTEGER;
ALTER TABLE calls ADD COLUMN stretch_seconds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN billable_seconds INTEGER;
ALTER TABLE calls ADD COLUMN free_seconds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN caller_channel TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN trunk_channel TEXT NOT NULL DEFAULT '';
CREATE INDEX calls_open ON calls (account_id) WHERE state IN ('held', 'talking');

-- Devices behind which many phones are, whose caller ID says which extension it is.
CREATE TABLE gateways (
    device TEXT PRIMARY KEY
);

-- What `extension sync` found in Asterisk, with the name it had there: only what was seen can vanish.
CREATE TABLE seen_devices (
    device TEXT PRIMARY KEY,
    name   TEXT NOT NULL
);

-- An extension that came back after its account was closed: a person is asked whether to continue it.
ALTER TABLE accounts ADD COLUMN recreated INTEGER NOT NULL DEFAULT 0 CHECK (recreated IN (0, 1));

-- Talk on the trunk up to this long costs nothing: a line without answer supervision is answered when it is dialed.
ALTER TABLE trunks ADD COLUMN free_seconds INTEGER NOT NULL DEFAULT 0 CHECK (free_seconds >= 0);
