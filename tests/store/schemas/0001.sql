BEGIN TRANSACTION;
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
INSERT INTO "accounts" VALUES(1,'100','Reception',1,'prepaid','unlocked',12320000,0,0,1772442000000,NULL);
INSERT INTO "accounts" VALUES(2,'101','Sales',1,'postpaid','unlocked',-2120000,50000000,5320000,1772442000000,NULL);
INSERT INTO "accounts" VALUES(3,'102','Lobby',1,'prepaid','locked',10000000,0,0,1772442000000,NULL);
INSERT INTO "accounts" VALUES(4,'103','Kitchen',0,'prepaid','unlocked',0,0,0,1772442000000,NULL);
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
INSERT INTO "calls" VALUES(1,'talked','settled','',1,'100','PJSIP/100','988360046','988360046','carrier',1,1772442000000,1772442000000,1772442005000,1772442243000,'2026-03-02',238,0,14400,180000,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','["rate 1 (city) wins: prefix 9, exactly 9 digits, all extensions", "rate 2 (mobile) lost: it is for numbers of 12 digits, this one has 9", "balance 10.0000, credit 0.0000, held by other calls 0.0000: 5.3200 held for 14400 s", "238 s of talk: 0.1000 for the first 60 s, then 4 started units of 55 s at 0.0200, is 0.1800", "balance 10.0000 before, 9.8200 after"]',0,'','16','1772442000.1','1772442000.2','1772442000.1');
INSERT INTO "calls" VALUES(2,'sales','settled','',2,'101','PJSIP/101','0034911234567','0034911234567','carrier',1,1772442000000,1772442000000,1772442005000,1772442066000,'2026-03-02',61,0,3000,2000000,0,'{"id": 3, "remark": "abroad", "prefix": "00", "number_length": 0, "initial_cost_micros": 0, "initial_seconds": 0, "rate_micros": 1000000, "unit_seconds": 60}','["rate 3 (abroad) wins: prefix 00, any length, all extensions", "balance 0.0000, credit 50.0000, held by other calls 0.0000: 50.0000 held for 3000 s", "61 s of talk: 0.0000 for the first 0 s, then 2 started units of 60 s at 1.0000, is 2.0000", "balance 0.0000 before, -2.0000 after"]',0,'','16','1772442000.1','1772442000.2','1772442000.1');
INSERT INTO "calls" VALUES(3,'locked','refused','locked',3,'102','PJSIP/102','988360046','988360046','carrier',1,1772442000000,1772442000000,NULL,NULL,'2026-03-02',0,0,NULL,0,0,NULL,'[]',0,'','','1772442000.1','','1772442000.1');
INSERT INTO "calls" VALUES(4,'nobody','released','',1,'100','PJSIP/100','988360046','988360046','carrier',1,1772442000000,1772442000000,NULL,1772442005000,'2026-03-02',0,0,14400,0,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','["rate 1 (city) wins: prefix 9, exactly 9 digits, all extensions", "rate 2 (mobile) lost: it is for numbers of 12 digits, this one has 9", "balance 9.8200, credit 0.0000, held by other calls 0.0000: 5.3200 held for 14400 s"]',0,'','16','1772442000.1','','1772442000.1');
INSERT INTO "calls" VALUES(5,'unbilled','settled','not-billed',4,'103','PJSIP/103','965302387','965302387','carrier',1,1772442000000,1772442000000,1772442005000,1772442010000,'2026-03-02',5,0,NULL,0,0,NULL,'[]',0,'','16','1772442000.1','1772442000.2','1772442000.1');
INSERT INTO "calls" VALUES(6,'no-rate','refused','no-rate',1,'100','PJSIP/100','777','777','carrier',1,1772442000000,1772442000000,NULL,NULL,'2026-03-02',0,0,NULL,0,0,NULL,'["no rate matches"]',0,'','','1772442000.1','','1772442000.1');
INSERT INTO "calls" VALUES(7,'alone','settled','billing-down',2,'101','PJSIP/101','988360046','988360046','carrier',1,1772442000000,0,1772442005000,1772442080000,'2026-03-02',75,0,NULL,120000,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','["rate 1 (city) wins: prefix 9, exactly 9 digits, all extensions", "rate 2 (mobile) lost: it is for numbers of 12 digits, this one has 9", "75 s of talk: 0.1000 for the first 60 s, then 1 started unit of 55 s at 0.0200, is 0.1200", "balance -2.0000 before, -2.1200 after"]',1,'alone','16','','1772442000.2','1772442000.1');
INSERT INTO "calls" VALUES(8,'now','held','',2,'101','PJSIP/101','988360046','988360046','carrier',1,1772442000000,1772442000000,NULL,NULL,'2026-03-02',0,5320000,14400,0,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','["rate 1 (city) wins: prefix 9, exactly 9 digits, all extensions", "rate 2 (mobile) lost: it is for numbers of 12 digits, this one has 9", "balance -2.1200, credit 50.0000, held by other calls 0.0000: 5.3200 held for 14400 s"]',0,'','','1772442000.1','','1772442000.1');
CREATE TABLE changes (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms  INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    origin TEXT NOT NULL,
    what   TEXT NOT NULL,
    before TEXT NOT NULL,
    after  TEXT NOT NULL
);
INSERT INTO "changes" VALUES(1,1772442000000,'bill-ann','terminal','extension 100','{}','{"name": "Reception"}');
INSERT INTO "changes" VALUES(2,1772442000000,'bill-ann','terminal','extension 101','{}','{"name": "Sales"}');
INSERT INTO "changes" VALUES(3,1772442000000,'bill-ann','terminal','extension 102','{}','{"name": "Lobby"}');
INSERT INTO "changes" VALUES(4,1772442000000,'bill-ann','terminal','extension 103','{}','{"name": "Kitchen"}');
INSERT INTO "changes" VALUES(5,1772442000000,'bill-ann','terminal','extension 100','{"billing": 0}','{"billing": true}');
INSERT INTO "changes" VALUES(6,1772442000000,'bill-ann','terminal','extension 101','{"billing": 0, "payment_type": "prepaid", "credit_micros": 0}','{"billing": true, "payment_type": "postpaid", "credit_micros": 50000000}');
INSERT INTO "changes" VALUES(7,1772442000000,'bill-ann','terminal','extension 102','{"billing": 0, "status": "unlocked"}','{"billing": true, "status": "locked"}');
INSERT INTO "changes" VALUES(8,1772442000000,'bill-ann','terminal','extension 100','{"balance_micros": 0}','{"balance_micros": 10000000}');
INSERT INTO "changes" VALUES(9,1772442000000,'bill-ann','terminal','extension 102','{"balance_micros": 0}','{"balance_micros": 10000000}');
INSERT INTO "changes" VALUES(10,1772442000000,'bill-ann','terminal','setting currency','USD','USD');
INSERT INTO "changes" VALUES(11,1772442000000,'bill-ann','terminal','extension 100','{"balance_micros": 9820000}','{"balance_micros": 12320000}');
CREATE TABLE daily_extension_totals (
    day          TEXT NOT NULL,
    account_id   INTEGER NOT NULL REFERENCES accounts (id),
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (day, account_id)
);
INSERT INTO "daily_extension_totals" VALUES('2026-03-02',1,1,238,180000);
INSERT INTO "daily_extension_totals" VALUES('2026-03-02',2,2,136,2120000);
INSERT INTO "daily_extension_totals" VALUES('2026-03-02',4,1,5,0);
CREATE TABLE daily_trunk_totals (
    day          TEXT NOT NULL,
    trunk        TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (day, trunk)
);
INSERT INTO "daily_trunk_totals" VALUES('2026-03-02','carrier',4,379,2300000);
CREATE TABLE devices (
    device     TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id)
);
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
INSERT INTO "ledger" VALUES(1,2,'payment-type',0,0,0,NULL,'prepaid to postpaid','bill-ann',1772442000000);
INSERT INTO "ledger" VALUES(2,1,'recharge',10000000,0,10000000,NULL,'','bill-ann',1772442000000);
INSERT INTO "ledger" VALUES(3,3,'recharge',10000000,0,10000000,NULL,'','bill-ann',1772442000000);
INSERT INTO "ledger" VALUES(4,1,'call',-180000,10000000,9820000,'talked','','call',1772442243000);
INSERT INTO "ledger" VALUES(5,2,'call',-2000000,0,-2000000,'sales','','call',1772442066000);
INSERT INTO "ledger" VALUES(6,2,'call',-120000,-2000000,-2120000,'alone','','call',1772442080000);
INSERT INTO "ledger" VALUES(7,1,'recharge',2500000,9820000,12320000,NULL,'','bill-ann',1772442000000);
CREATE TABLE mirror (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    key      TEXT NOT NULL UNIQUE,
    value    TEXT NOT NULL
);
INSERT INTO "mirror" VALUES(1,'policy','refuse');
INSERT INTO "mirror" VALUES(2,'emergency/112','1');
INSERT INTO "mirror" VALUES(3,'emergency/911','1');
INSERT INTO "mirror" VALUES(4,'emergency/0112','1');
INSERT INTO "mirror" VALUES(5,'emergency/0911','1');
INSERT INTO "mirror" VALUES(6,'emergency/9112','1');
INSERT INTO "mirror" VALUES(7,'emergency/9911','1');
INSERT INTO "mirror" VALUES(11,'payer/103','free');
INSERT INTO "mirror" VALUES(12,'payer/100','billed');
INSERT INTO "mirror" VALUES(13,'payer/101','billed');
INSERT INTO "mirror" VALUES(14,'payer/102','locked');
INSERT INTO "mirror" VALUES(15,'payer/PJSIP/carrier','free');
CREATE TABLE rate_extensions (
    rate_id   INTEGER NOT NULL REFERENCES rates (id) ON DELETE CASCADE,
    extension TEXT NOT NULL,
    PRIMARY KEY (rate_id, extension)
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
INSERT INTO "rates" VALUES(1,1,'city','9',9,100000,60,20000,55,'00:00:00','23:59:59','1234567',1);
INSERT INTO "rates" VALUES(2,1,'mobile','9',12,100000,60,50000,55,'00:00:00','23:59:59','1234567',1);
INSERT INTO "rates" VALUES(3,1,'abroad','00',0,0,0,1000000,60,'00:00:00','23:59:59','1234567',1);
INSERT INTO "rates" VALUES(4,1,'free phone','0800',0,0,0,0,60,'00:00:00','23:59:59','1234567',1);
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO "settings" VALUES('time_zone','Europe/Madrid');
INSERT INTO "settings" VALUES('currency','USD');
CREATE TABLE site (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO "site" VALUES('database_id','5683317db96ccb54');
CREATE TABLE trunks (
    device TEXT PRIMARY KEY,
    name   TEXT NOT NULL
);
INSERT INTO "trunks" VALUES('PJSIP/carrier','carrier');
CREATE UNIQUE INDEX accounts_open_extension ON accounts (extension) WHERE closed_at_ms IS NULL;
CREATE INDEX devices_account ON devices (account_id);
CREATE INDEX rates_prefix ON rates (prefix);
CREATE INDEX calls_asked ON calls (asked_at_ms);
CREATE INDEX calls_extension ON calls (extension, asked_at_ms);
CREATE INDEX ledger_account ON ledger (account_id, id);
CREATE UNIQUE INDEX ledger_one_charge_per_call ON ledger (call_id) WHERE kind = 'call';
CREATE TRIGGER ledger_refuses_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: post a correction instead'); END;
CREATE TRIGGER ledger_refuses_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: post a correction instead'); END;
CREATE TRIGGER ledger_refuses_overwrite BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM ledger WHERE id = NEW.id)
  OR (NEW.kind = 'call' AND EXISTS (SELECT 1 FROM ledger WHERE kind = 'call' AND call_id = NEW.call_id))
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: an entry cannot be overwritten'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('mirror',15);
INSERT INTO "sqlite_sequence" VALUES('changes',11);
INSERT INTO "sqlite_sequence" VALUES('ledger',7);
INSERT INTO "sqlite_sequence" VALUES('rates',4);
PRAGMA user_version = 1;
COMMIT;
