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
, recreated INTEGER NOT NULL DEFAULT 0 CHECK (recreated IN (0, 1)), checked_in_at_ms INTEGER, stay_after_entry INTEGER, name_before_stay TEXT, own_after_call INTEGER NOT NULL DEFAULT 0);
INSERT INTO "accounts" VALUES(1,'100','Reception',1,'prepaid','unlocked',12140000,0,1000000,1772442000000,NULL,0,NULL,NULL,NULL,0);
INSERT INTO "accounts" VALUES(2,'101','Sales',1,'postpaid','unlocked',-3090000,50000000,5320000,1772442000000,NULL,0,NULL,NULL,NULL,0);
INSERT INTO "accounts" VALUES(3,'102','Lobby',1,'prepaid','locked',10000000,0,0,1772442000000,NULL,0,NULL,NULL,NULL,0);
INSERT INTO "accounts" VALUES(4,'103','Kitchen',0,'prepaid','unlocked',0,0,0,1772442000000,NULL,0,NULL,NULL,NULL,0);
INSERT INTO "accounts" VALUES(5,'108','Gone',0,'prepaid','unlocked',3250000,0,0,1772442000000,1772442000000,0,NULL,NULL,NULL,0);
INSERT INTO "accounts" VALUES(6,'109','Gone',0,'prepaid','unlocked',0,0,0,1772442000000,1772442000000,0,NULL,NULL,NULL,0);
INSERT INTO "accounts" VALUES(7,'201','Late guest',1,'prepaid','unlocked',20000000,0,0,1772442000000,NULL,0,1772442000000,18,'Room 201',16);
INSERT INTO "accounts" VALUES(8,'202','Staying',1,'prepaid','unlocked',20000000,0,0,1772442000000,NULL,0,1772442000000,0,'Room 202',11);
CREATE TABLE archive_files (
    path  TEXT PRIMARY KEY,
    month TEXT NOT NULL,
    calls INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "archive_files" VALUES('/var/lib/coovox-billing/archive/calls-2026-03.csv.gz','2026-03',7);
CREATE TABLE archived_calls (
    call_id      TEXT PRIMARY KEY,
    state        TEXT NOT NULL CHECK (state IN ('refused', 'settled', 'released')),
    account_id   INTEGER REFERENCES accounts (id),
    local_day    TEXT NOT NULL,
    trunk        TEXT NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL
, local_hour INTEGER, destination TEXT) WITHOUT ROWID;
INSERT INTO "archived_calls" VALUES('guest','settled',7,'2026-03-02','carrier',100,120000,10,'9');
INSERT INTO "archived_calls" VALUES('locked','refused',3,'2026-03-02','carrier',0,0,10,'none');
INSERT INTO "archived_calls" VALUES('no-rate','refused',1,'2026-03-02','carrier',0,0,10,'none');
INSERT INTO "archived_calls" VALUES('nobody','released',1,'2026-03-02','carrier',0,0,10,'9');
INSERT INTO "archived_calls" VALUES('sales','settled',2,'2026-03-02','carrier',61,2000000,10,'00');
INSERT INTO "archived_calls" VALUES('talked','settled',1,'2026-03-02','carrier',238,180000,10,'9');
INSERT INTO "archived_calls" VALUES('unbilled','settled',4,'2026-03-02','carrier',5,0,10,'none');
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
    linkedid           TEXT NOT NULL DEFAULT '', promised_seconds INTEGER, stretch_seconds INTEGER NOT NULL DEFAULT 0, billable_seconds INTEGER, free_seconds INTEGER NOT NULL DEFAULT 0, caller_channel TEXT NOT NULL DEFAULT '', trunk_channel TEXT NOT NULL DEFAULT '', ringing_at_ms INTEGER, ring_limit_seconds INTEGER, settled_by TEXT NOT NULL DEFAULT '', seen_talk_seconds INTEGER NOT NULL DEFAULT 0, end_requested INTEGER NOT NULL DEFAULT 0 CHECK (end_requested IN (0, 1)), local_hour INTEGER CHECK (local_hour BETWEEN 0 AND 23),
    CHECK (state IN ('held', 'talking') OR hold_micros = 0)
);
INSERT INTO "calls" VALUES(7,'alone','settled','billing-down',2,'101','PJSIP/101','988360046','988360046','carrier',1,1772442000000,1772442000000,1772442005000,1772442080000,'2026-03-02',75,0,NULL,120000,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','[[1,[5,1,"city"],[6,"9",[9,9],[10]]],[2,[5,2,"mobile"],[14,12,9]],[26,75,"0.1000",60,[27,55,"0.0200"],"0.1200"],[31,"-2.0000","-2.1200"]]',1,'alone','16','','1772442000.2','1772442000.1',NULL,0,NULL,0,'','',NULL,NULL,'settle',0,0,10);
INSERT INTO "calls" VALUES(8,'now','held','',2,'101','PJSIP/101','988360046','988360046','carrier',1,1772442000000,1772442000000,NULL,NULL,'2026-03-02',0,5320000,14400,0,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','[[1,[5,1,"city"],[6,"9",[9,9],[10]]],[2,[5,2,"mobile"],[14,12,9]],[22,"-2.1200","50.0000","0.0000",[23,"5.3200",14400]]]',0,'','','1772442000.1','','1772442000.1',14400,14400,NULL,0,'PJSIP/101-0000000a','',NULL,NULL,'',0,0,10);
INSERT INTO "calls" VALUES(9,'talking','talking','',1,'100','PJSIP/100','0034912345678','0034912345678','carrier',1,1772442000000,1772442000000,1772442005000,NULL,'2026-03-02',0,1000000,180,0,0,'{"id": 3, "remark": "abroad", "prefix": "00", "number_length": 0, "initial_cost_micros": 0, "initial_seconds": 0, "rate_micros": 1000000, "unit_seconds": 60}','[[1,[5,3,"abroad"],[6,"00",[8],[10]]],[22,"12.3200","0.0000","0.0000",[24,"1.0000",60]]]',0,'','','1772442000.1','1772442000.2','1772442000.1',60,60,NULL,0,'PJSIP/100-0000000a','PJSIP/carrier-0000000b',NULL,NULL,'',0,1,10);
INSERT INTO "calls" VALUES(10,'lost','settled','',2,'101','PJSIP/101','988360046','988360046','carrier',1,1772442000000,1772442000000,1772442005000,1772442035000,'2026-03-02',30,0,14400,100000,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','[[1,[5,1,"city"],[6,"9",[9,9],[10]]],[2,[5,2,"mobile"],[14,12,9]],[22,"-2.1200","50.0000","5.3200",[23,"5.3200",14400]],[33],[30,3],[26,30,"0.1000",60,[28,0,55,"0.0200"],"0.1000"],[31,"-2.1200","-2.2200"]]',1,'lost','','1772442000.1','1772442000.2','1772442000.1',14400,14400,NULL,3,'PJSIP/101-0000000a','PJSIP/carrier-0000000b',NULL,NULL,'rule',0,0,10);
INSERT INTO "calls" VALUES(11,'turned-up','settled','',2,'101','PJSIP/101','988360046','988360046','carrier',1,1772442000000,1772442000000,1772442005000,1772442095000,'2026-03-02',90,0,14400,120000,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','[[1,[5,1,"city"],[6,"9",[9,9],[10]]],[2,[5,2,"mobile"],[14,12,9]],[22,"-2.2200","50.0000","5.3200",[23,"5.3200",14400]],[33],[30,3],[26,30,"0.1000",60,[28,0,55,"0.0200"],"0.1000"],[31,"-2.2200","-2.3200"],[35],[30,3],[26,90,"0.1000",60,[27,55,"0.0200"],"0.1200"],[31,"-2.3200","-2.3400"]]',1,'corrected','16','1772442000.1','1772442000.2','1772442000.1',14400,14400,NULL,3,'PJSIP/101-0000000a','PJSIP/carrier-0000000b',NULL,NULL,'settle',0,0,10);
INSERT INTO "calls" VALUES(12,'since','settled','',1,'100','PJSIP/100','988360046','988360046','carrier',1,1772442000000,1772442000000,1772442005000,1772442243000,'2026-03-02',238,0,14400,180000,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','[[1,[5,1,"city"],[6,"9",[9,9],[10]]],[2,[5,2,"mobile"],[14,12,9]],[22,"12.3200","0.0000","1.0000",[23,"5.3200",14400]],[30,3],[26,238,"0.1000",60,[28,4,55,"0.0200"],"0.1800"],[31,"12.3200","12.1400"]]',0,'','16','1772442000.1','1772442000.2','1772442000.1',14400,14400,NULL,3,'PJSIP/100-0000000a','',NULL,NULL,'settle',0,0,10);
INSERT INTO "calls" VALUES(13,'nobody-since','released','',1,'100','PJSIP/100','988360046','988360046','carrier',1,1772442000000,1772442000000,NULL,1772442005000,'2026-03-02',0,0,14400,0,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','[[1,[5,1,"city"],[6,"9",[9,9],[10]]],[2,[5,2,"mobile"],[14,12,9]],[22,"12.1400","0.0000","1.0000",[23,"5.3200",14400]]]',0,'','16','1772442000.1','','1772442000.1',14400,14400,NULL,3,'PJSIP/100-0000000a','',NULL,NULL,'',0,0,10);
INSERT INTO "calls" VALUES(14,'locked-since','refused','locked',3,'102','PJSIP/102','988360046','988360046','carrier',1,1772442000000,1772442000000,NULL,NULL,'2026-03-02',0,0,NULL,0,0,NULL,'[]',0,'','','1772442000.1','','1772442000.1',NULL,0,NULL,3,'PJSIP/102-0000000a','',NULL,NULL,'',0,0,10);
INSERT INTO "calls" VALUES(15,'two-trunks','released','',1,'100','PJSIP/100','988360046','988360046','backup',2,1772442000000,1772442000001,NULL,1772442005001,'2026-03-02',0,0,14400,0,0,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 20000, "unit_seconds": 55}','[[1,[5,1,"city"],[6,"9",[9,9],[10]]],[2,[5,2,"mobile"],[14,12,9]],[22,"12.1400","0.0000","1.0000",[23,"5.3200",14400]]]',0,'','16','1772442000.1','','1772442000.1',14400,14400,NULL,3,'PJSIP/100-0000000a','',NULL,NULL,'',0,0,10);
INSERT INTO "calls" VALUES(16,'staff','settled','locked',7,'201','PJSIP/201','988360046','988360046','carrier',1,1772442000000,1772442000000,1772442005000,1772442025000,'2026-03-02',20,0,NULL,100000,100000,'{"id": 1, "remark": "city", "prefix": "9", "number_length": 9, "initial_cost_micros": 100000, "initial_seconds": 60, "rate_micros": 30000, "unit_seconds": 55}','[[1,[5,1,"city"],[6,"9",[9,9],[10]]],[2,[5,2,"mobile"],[14,12,9]],[30,3],[26,20,"0.1000",60,[28,0,55,"0.0300"],"0.1000"],[32,"0.1000"]]',1,'uncollected','16','1772442000.1','1772442000.2','1772442000.1',NULL,0,NULL,3,'PJSIP/201-0000000a','',NULL,NULL,'settle',0,0,10);
INSERT INTO "calls" VALUES(17,'unpriced-since','refused','no-rate',1,'100','PJSIP/100','7777','7777','carrier',1,1772442000000,1772442000000,NULL,NULL,'2026-03-02',0,0,NULL,0,0,NULL,'[[3]]',0,'','','1772442000.1','','1772442000.1',NULL,0,NULL,3,'PJSIP/100-0000000a','',NULL,NULL,'',0,0,10);
INSERT INTO "calls" VALUES(18,'refused-since','refused','locked',3,'102','PJSIP/102','988360046','988360046','carrier',1,1772442000000,1772442000000,NULL,NULL,'2026-03-02',0,0,NULL,0,0,NULL,'[]',0,'','','1772442000.1','','1772442000.1',NULL,0,NULL,3,'PJSIP/102-0000000a','',NULL,NULL,'',0,0,10);
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
INSERT INTO "changes" VALUES(12,1772442000000,'bill-ann','terminal','extension 108','{}','{"name": "Gone"}');
INSERT INTO "changes" VALUES(13,1772442000000,'bill-ann','terminal','extension 108','{"balance_micros": 0}','{"balance_micros": 3250000}');
INSERT INTO "changes" VALUES(14,1772442000000,'bill-ann','terminal','extension 108','{"closed": false, "balance_micros": 3250000}','{"closed": true, "balance_micros": 3250000}');
INSERT INTO "changes" VALUES(15,1772442000000,'bill-ann','terminal','extension 109','{}','{"name": "Gone"}');
INSERT INTO "changes" VALUES(16,1772442000000,'bill-ann','terminal','extension 109','{"balance_micros": 0}','{"balance_micros": 3250000}');
INSERT INTO "changes" VALUES(17,1772442000000,'bill-ann','terminal','extension 109','{"closed": false, "balance_micros": 3250000}','{"closed": true, "balance_micros": 3250000}');
INSERT INTO "changes" VALUES(18,1772442000000,'bill-ann','terminal','trunk PJSIP/carrier','{"free_seconds": 0}','{"free_seconds": 3}');
INSERT INTO "changes" VALUES(19,1772442000000,'bill-ann','terminal','extension 101','{"balance_micros": -2340000}','{"balance_micros": -3090000, "reason": "counted wrong"}');
INSERT INTO "changes" VALUES(20,1772442000000,'bill-ann','terminal','extension 109','{"balance_micros": 3250000}','{"balance_micros": 0, "reason": "twice"}');
INSERT INTO "changes" VALUES(21,1772442000000,'bill-ann','terminal','extension 201','{}','{"name": "Room 201"}');
INSERT INTO "changes" VALUES(22,1772442000000,'bill-ann','terminal','extension 201','{"billing": 0, "name": "Room 201"}','{"billing": true, "name": "Guest"}');
INSERT INTO "changes" VALUES(23,1772442000000,'bill-ann','terminal','extension 201','{"balance_micros": 0}','{"balance_micros": 20000000, "reason": "check-in"}');
INSERT INTO "changes" VALUES(24,1772442000000,'bill-ann','terminal','extension 201','{"checked_in": false}','{"checked_in": true}');
INSERT INTO "changes" VALUES(25,1772442000000,'bill-ann','terminal','extension 202','{}','{"name": "Room 202"}');
INSERT INTO "changes" VALUES(26,1772442000000,'bill-ann','terminal','extension 202','{"billing": 0, "name": "Room 202"}','{"billing": true, "name": "Staying"}');
INSERT INTO "changes" VALUES(27,1772442000000,'bill-ann','terminal','extension 202','{"balance_micros": 0}','{"balance_micros": 20000000, "reason": "check-in"}');
INSERT INTO "changes" VALUES(28,1772442000000,'bill-ann','terminal','extension 202','{"checked_in": false}','{"checked_in": true}');
INSERT INTO "changes" VALUES(29,1772442000000,'bill-ann','terminal','extension 201','{"balance_micros": 19880000}','{"balance_micros": 0, "reason": "check-out"}');
INSERT INTO "changes" VALUES(30,1772442000000,'bill-ann','terminal','extension 201','{"status": "unlocked", "name": "Guest"}','{"status": "locked", "name": "Room 201"}');
INSERT INTO "changes" VALUES(31,1772442000000,'bill-ann','terminal','extension 201','{"checked_in": true}','{"checked_in": false}');
INSERT INTO "changes" VALUES(32,1772442000000,'bill-ann','terminal','call talking','{"state": "talking"}','{"state": "to be ended"}');
INSERT INTO "changes" VALUES(33,1772442000000,'bill-ann','terminal','user bill-eb6','{}','{"role": "manager", "remark": "the manager"}');
INSERT INTO "changes" VALUES(34,1772442000000,'bill-ann','terminal','user bill-sts','{}','{"role": "cashier", "remark": "the cashier", "recharge_limit_micros": 50000000}');
INSERT INTO "changes" VALUES(35,1772442000000,'bill-ann','terminal','user bill-xeh','{}','{"role": "auditor", "remark": "the auditor"}');
INSERT INTO "changes" VALUES(36,1795305600000,'owner','terminal','owner','{"second_factor": false}','{"second_factor": true}');
INSERT INTO "changes" VALUES(37,1772442000000,'bill-ann','terminal','archive 2026-03','{}','{"calls": 7, "file": "/var/lib/coovox-billing/archive/calls-2026-03.csv.gz"}');
INSERT INTO "changes" VALUES(38,1772442000000,'bill-ann','terminal','tariff draft','{}','{"rates": 4}');
INSERT INTO "changes" VALUES(39,1772442000000,'bill-ann','terminal','tariff next year','{}','{"rates": 4}');
INSERT INTO "changes" VALUES(40,1772442000000,'bill-ann','terminal','tariff next year','{}','{"activate_at_ms": 1772528400000}');
INSERT INTO "changes" VALUES(41,1772442000000,'bill-ann','terminal','tariff counts','{}','{"rates": 4}');
INSERT INTO "changes" VALUES(42,1772442000000,'bill-ann','terminal','rate 1','{"rate": "0.0200"}','{"rate": "0.0300"}');
INSERT INTO "changes" VALUES(43,1772442000000,'bill-ann','terminal','rate 2','{"rate": "0.0500"}','{"rate": "0.0300"}');
INSERT INTO "changes" VALUES(44,1772442000000,'bill-ann','terminal','rate 3','{"rate": "1.0000"}','{"rate": "0.0300"}');
INSERT INTO "changes" VALUES(45,1772442000000,'bill-ann','terminal','rate 4','{"rate": "0.0000"}','{"rate": "0.0300"}');
INSERT INTO "changes" VALUES(46,1772442000000,'bill-ann','terminal','tariff counts','{"state": "draft"}','{"state": "active", "added": 0, "changed": 4, "unchanged": 0, "removed": 0}');
INSERT INTO "changes" VALUES(47,1772442000000,'bill-ann','terminal','tariff taken back','{}','{"rates": 4}');
INSERT INTO "changes" VALUES(48,1772442000000,'bill-ann','terminal','tariff taken back','{"state": "draft"}','{"state": "active", "added": 0, "changed": 0, "unchanged": 4, "removed": 0}');
INSERT INTO "changes" VALUES(49,1772442000000,'bill-ann','terminal','tariff taken back','{"state": "active"}','{"state": "taken-back", "added": 0, "changed": 0, "unchanged": 4, "removed": 0}');
INSERT INTO "changes" VALUES(50,1772442000000,'bill-ann','terminal','extension 100','{}','{"pin": "changed"}');
INSERT INTO "changes" VALUES(51,1772442000000,'bill-ann','terminal','extension 202','{}','{"pin": "changed"}');
INSERT INTO "changes" VALUES(52,1772442000000,'bill-ann','terminal','extension 201','{"status": "locked", "name": "Room 201"}','{"status": "unlocked", "name": "Late guest"}');
INSERT INTO "changes" VALUES(53,1772442000000,'bill-ann','terminal','extension 201','{"balance_micros": 0}','{"balance_micros": 20000000, "reason": "check-in"}');
INSERT INTO "changes" VALUES(54,1772442000000,'bill-ann','terminal','extension 201','{"checked_in": false}','{"checked_in": true}');
INSERT INTO "changes" VALUES(55,1772442000000,'bill-ann','terminal','trunk DAHDI/g1','{}','{"name": "Lines", "channels": 4}');
CREATE TABLE column_choices (
    person TEXT NOT NULL,
    list   TEXT NOT NULL,
    turned TEXT NOT NULL,
    PRIMARY KEY (person, list)
) WITHOUT ROWID;
INSERT INTO "column_choices" VALUES('bill-k7m','call-log','answered trunk');
CREATE TABLE daily_destination_totals (
    day          TEXT NOT NULL,
    destination  TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (day, destination)
) WITHOUT ROWID;
INSERT INTO "daily_destination_totals" VALUES('2026-03-02','00',1,61,2000000);
INSERT INTO "daily_destination_totals" VALUES('2026-03-02','9',7,791,920000);
INSERT INTO "daily_destination_totals" VALUES('2026-03-02','none',1,5,0);
CREATE TABLE "daily_extension_totals" (
    day          TEXT NOT NULL,
    account_id   INTEGER NOT NULL REFERENCES accounts (id),
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL, days INTEGER GENERATED ALWAYS AS (calls > 0) VIRTUAL,
    PRIMARY KEY (day, account_id)
) WITHOUT ROWID;
INSERT INTO "daily_extension_totals" VALUES('2026-03-02',1,2,476,360000);
INSERT INTO "daily_extension_totals" VALUES('2026-03-02',2,4,256,2340000);
INSERT INTO "daily_extension_totals" VALUES('2026-03-02',4,1,5,0);
INSERT INTO "daily_extension_totals" VALUES('2026-03-02',7,2,120,220000);
CREATE TABLE daily_hour_totals (
    day          TEXT NOT NULL,
    hour         INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (day, hour)
) WITHOUT ROWID;
INSERT INTO "daily_hour_totals" VALUES('2026-03-02',10,9,857,2920000);
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
INSERT INTO "daily_trunk_totals" VALUES('2026-03-02','backup',0,0,0,1,0);
INSERT INTO "daily_trunk_totals" VALUES('2026-03-02','carrier',9,857,2920000,2,5);
CREATE TABLE devices (
    device     TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id)
);
CREATE TABLE finished_destination_totals (
    period       TEXT NOT NULL,
    destination  TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (period, destination)
) WITHOUT ROWID;
INSERT INTO "finished_destination_totals" VALUES('..2026-03-02','00',1,61,2000000);
INSERT INTO "finished_destination_totals" VALUES('..2026-03-02','9',7,791,920000);
INSERT INTO "finished_destination_totals" VALUES('..2026-03-02','none',1,5,0);
INSERT INTO "finished_destination_totals" VALUES('2026-03','00',1,61,2000000);
INSERT INTO "finished_destination_totals" VALUES('2026-03','9',7,791,920000);
INSERT INTO "finished_destination_totals" VALUES('2026-03','none',1,5,0);
CREATE TABLE finished_extension_totals (
    period       TEXT NOT NULL,
    account_id   INTEGER NOT NULL REFERENCES accounts (id),
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL, days INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (period, account_id)
) WITHOUT ROWID;
INSERT INTO "finished_extension_totals" VALUES('..2026-03-02',1,2,476,360000,1);
INSERT INTO "finished_extension_totals" VALUES('..2026-03-02',2,4,256,2340000,1);
INSERT INTO "finished_extension_totals" VALUES('..2026-03-02',4,1,5,0,1);
INSERT INTO "finished_extension_totals" VALUES('..2026-03-02',7,2,120,220000,1);
INSERT INTO "finished_extension_totals" VALUES('2026-03',1,2,476,360000,1);
INSERT INTO "finished_extension_totals" VALUES('2026-03',2,4,256,2340000,1);
INSERT INTO "finished_extension_totals" VALUES('2026-03',4,1,5,0,1);
INSERT INTO "finished_extension_totals" VALUES('2026-03',7,2,120,220000,1);
CREATE TABLE finished_hour_totals (
    period       TEXT NOT NULL,
    hour_of_week INTEGER NOT NULL CHECK (hour_of_week BETWEEN 0 AND 167),
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    PRIMARY KEY (period, hour_of_week)
) WITHOUT ROWID;
INSERT INTO "finished_hour_totals" VALUES('..2026-03-02',34,9,857,2920000);
INSERT INTO "finished_hour_totals" VALUES('2026-03',34,9,857,2920000);
CREATE TABLE finished_periods (
    period       TEXT PRIMARY KEY,
    extensions   INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "finished_periods" VALUES('..2026-02',0,0,0,0);
INSERT INTO "finished_periods" VALUES('..2026-03-02',4,9,857,2920000);
INSERT INTO "finished_periods" VALUES('2025',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-01',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-02',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-03',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-04',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-05',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-06',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-07',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-08',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-09',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-10',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-11',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2025-12',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2026-02',0,0,0,0);
INSERT INTO "finished_periods" VALUES('2026-03-02',4,9,857,2920000);
CREATE TABLE finished_trunk_totals (
    period       TEXT NOT NULL,
    trunk        TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    talk_seconds INTEGER NOT NULL,
    cost_micros  INTEGER NOT NULL,
    unanswered   INTEGER NOT NULL,
    refused      INTEGER NOT NULL,
    PRIMARY KEY (period, trunk)
) WITHOUT ROWID;
INSERT INTO "finished_trunk_totals" VALUES('..2026-03-02','backup',0,0,0,1,0);
INSERT INTO "finished_trunk_totals" VALUES('..2026-03-02','carrier',9,857,2920000,2,5);
INSERT INTO "finished_trunk_totals" VALUES('2026-03','backup',0,0,0,1,0);
INSERT INTO "finished_trunk_totals" VALUES('2026-03','carrier',9,857,2920000,2,4);
CREATE TABLE gateways (
    device TEXT PRIMARY KEY
);
CREATE TABLE "ledger" (
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
    undoes                INTEGER REFERENCES "ledger" (id),
    CHECK (balance_after_micros = balance_before_micros + amount_micros),
    CHECK ((kind = 'call') = (call_id IS NOT NULL) OR kind = 'correction')
);
INSERT INTO "ledger" VALUES(1,2,'payment-type',0,0,0,NULL,'prepaid to postpaid','bill-ann',1772442000000,NULL);
INSERT INTO "ledger" VALUES(2,1,'recharge',10000000,0,10000000,NULL,'','bill-ann',1772442000000,NULL);
INSERT INTO "ledger" VALUES(3,3,'recharge',10000000,0,10000000,NULL,'','bill-ann',1772442000000,NULL);
INSERT INTO "ledger" VALUES(4,1,'call',-180000,10000000,9820000,'talked','','call',1772442243000,NULL);
INSERT INTO "ledger" VALUES(5,2,'call',-2000000,0,-2000000,'sales','','call',1772442066000,NULL);
INSERT INTO "ledger" VALUES(6,2,'call',-120000,-2000000,-2120000,'alone','','call',1772442080000,NULL);
INSERT INTO "ledger" VALUES(7,1,'recharge',2500000,9820000,12320000,NULL,'','bill-ann',1772442000000,NULL);
INSERT INTO "ledger" VALUES(8,5,'recharge',3250000,0,3250000,NULL,'','bill-ann',1772442000000,NULL);
INSERT INTO "ledger" VALUES(9,6,'recharge',3250000,0,3250000,NULL,'','bill-ann',1772442000000,NULL);
INSERT INTO "ledger" VALUES(10,2,'call',-100000,-2120000,-2220000,'lost','','call',1772442000000,NULL);
INSERT INTO "ledger" VALUES(11,2,'call',-100000,-2220000,-2320000,'turned-up','','call',1772442000000,NULL);
INSERT INTO "ledger" VALUES(12,2,'correction',-20000,-2320000,-2340000,'turned-up','corrected: it was closed by rule before its true end was known','call',1772442095000,NULL);
INSERT INTO "ledger" VALUES(13,2,'correction',-750000,-2340000,-3090000,NULL,'counted wrong','bill-ann',1772442000000,NULL);
INSERT INTO "ledger" VALUES(14,6,'correction',-3250000,3250000,0,NULL,'twice','bill-ann',1772442000000,9);
INSERT INTO "ledger" VALUES(15,7,'recharge',20000000,0,20000000,NULL,'check-in','bill-ann',1772442000000,NULL);
INSERT INTO "ledger" VALUES(16,8,'recharge',20000000,0,20000000,NULL,'check-in','bill-ann',1772442000000,NULL);
INSERT INTO "ledger" VALUES(17,7,'call',-120000,20000000,19880000,'guest','','call',1772442105000,NULL);
INSERT INTO "ledger" VALUES(18,7,'correction',-19880000,19880000,0,NULL,'check-out','bill-ann',1772442000000,NULL);
INSERT INTO "ledger" VALUES(19,1,'call',-180000,12320000,12140000,'since','','call',1772442243000,NULL);
INSERT INTO "ledger" VALUES(20,7,'recharge',20000000,0,20000000,NULL,'check-in','bill-ann',1772442000000,NULL);
CREATE TABLE mirror (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    key      TEXT NOT NULL UNIQUE,
    value    TEXT NOT NULL
);
INSERT INTO "mirror" VALUES(2,'policy','refuse');
INSERT INTO "mirror" VALUES(3,'emergency/112','1');
INSERT INTO "mirror" VALUES(4,'emergency/911','1');
INSERT INTO "mirror" VALUES(5,'emergency/0112','1');
INSERT INTO "mirror" VALUES(6,'emergency/0911','1');
INSERT INTO "mirror" VALUES(7,'emergency/9112','1');
INSERT INTO "mirror" VALUES(8,'emergency/9911','1');
INSERT INTO "mirror" VALUES(9,'inactive','');
INSERT INTO "mirror" VALUES(13,'payer/103','free');
INSERT INTO "mirror" VALUES(14,'payer/100','billed');
INSERT INTO "mirror" VALUES(15,'payer/101','billed');
INSERT INTO "mirror" VALUES(16,'payer/102','locked');
INSERT INTO "mirror" VALUES(17,'payer/PJSIP/carrier','free');
INSERT INTO "mirror" VALUES(19,'payer/108','');
INSERT INTO "mirror" VALUES(21,'payer/109','');
INSERT INTO "mirror" VALUES(25,'payer/202','billed');
INSERT INTO "mirror" VALUES(27,'payer/201','billed');
INSERT INTO "mirror" VALUES(28,'payer/DAHDI/g1','free');
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
INSERT INTO "people" VALUES(1,'bill-eb6','the manager','manager','scrypt$16$8$1$c2FsdA==$a2V5',1,0,NULL,NULL,1772442000000,NULL);
INSERT INTO "people" VALUES(2,'bill-sts','the cashier','cashier','scrypt$16$8$1$c2FsdA==$a2V5',1,0,50000000,NULL,1772442000000,NULL);
INSERT INTO "people" VALUES(3,'bill-xeh','the auditor','auditor','scrypt$16$8$1$c2FsdA==$a2V5',1,0,NULL,NULL,1772442000000,NULL);
CREATE TABLE pins (
    account_id INTEGER PRIMARY KEY REFERENCES accounts (id),
    hash       TEXT NOT NULL,
    set_at_ms  INTEGER NOT NULL
);
INSERT INTO "pins" VALUES(1,'scrypt$16$8$1$c2FsdA==$a2V5',1772442000000);
INSERT INTO "pins" VALUES(8,'scrypt$16$8$1$c2FsdA==$a2V5',1772442000000);
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
, precedence INTEGER GENERATED ALWAYS AS (
    (((1000 - length(prefix)) * 2 + (number_length = 0)) * 2 + all_extensions) * 1000000
    + ((substr(end_time, 1, 2) - substr(start_time, 1, 2)) * 3600
       + (substr(end_time, 4, 2) - substr(start_time, 4, 2)) * 60
       + substr(end_time, 7, 2) - substr(start_time, 7, 2) + 86400) % 86400 * length(days) + length(days)
) VIRTUAL);
INSERT INTO "rates" VALUES(1,1,'city','9',9,100000,60,30000,55,'00:00:00','23:59:59','1234567',1);
INSERT INTO "rates" VALUES(2,1,'mobile','9',12,100000,60,30000,55,'00:00:00','23:59:59','1234567',1);
INSERT INTO "rates" VALUES(3,1,'abroad','00',0,0,0,30000,60,'00:00:00','23:59:59','1234567',1);
INSERT INTO "rates" VALUES(4,1,'free phone','0800',0,0,0,30000,60,'00:00:00','23:59:59','1234567',1);
CREATE TABLE recovery_codes (
    name       TEXT NOT NULL REFERENCES second_factors (name) ON DELETE CASCADE,
    hash       TEXT NOT NULL,
    used_at_ms INTEGER,
    PRIMARY KEY (name, hash)
) WITHOUT ROWID;
INSERT INTO "recovery_codes" VALUES('owner','0cc887151b6003a856b212c01a94e3b41ada7d2610dcca74abfeac164f32a7c0',NULL);
INSERT INTO "recovery_codes" VALUES('owner','21b97ae94c5be388521e4217a3999327c4eee33d48aa2d23da3bc1106014e420',NULL);
INSERT INTO "recovery_codes" VALUES('owner','25a9791dd568525dded651c6f58fd40db1afe88ed3dc963735631973ce259969',NULL);
INSERT INTO "recovery_codes" VALUES('owner','32aa2fc6b36c8bc70bc27d844443b5c8404fa2b06b5cbf39790de0ec49e61cb9',NULL);
INSERT INTO "recovery_codes" VALUES('owner','3f854d7c4d5c989f07c5301b9a57af9c3bee3f7d5c926d946b59e2f57d67dbe1',NULL);
INSERT INTO "recovery_codes" VALUES('owner','7f99f5ed273e12e5f71fe1f08bf51f1ef1c0d7c7e674815c911de1112645b318',NULL);
INSERT INTO "recovery_codes" VALUES('owner','9171c06a38c4aac1e51bbb3c7aa707ebfc0827d989ce7c5e9cb5c3d00fbeb567',NULL);
INSERT INTO "recovery_codes" VALUES('owner','b9dcc37a0c64c3f6a225ba46baaaf33700eececf4ff52ddc579ab65b2d85dc0e',NULL);
INSERT INTO "recovery_codes" VALUES('owner','bb3698698c1e796ab42c18012f3d0ea4482dffe5b03c60d0fb9cace117aec3f8',NULL);
INSERT INTO "recovery_codes" VALUES('owner','ed1295124737549798dc73bb64fd3e917b66a9c9e09dc1efe3592335a644e421',NULL);
CREATE TABLE saved_searches (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    person TEXT NOT NULL,
    list   TEXT NOT NULL,
    name   TEXT NOT NULL,
    search TEXT NOT NULL CHECK (search <> ''),
    UNIQUE (person, list, name)
);
INSERT INTO "saved_searches" VALUES(1,'bill-k7m','call-log','Month','period=this-month');
CREATE TABLE second_factors (
    name      TEXT PRIMARY KEY,
    secret    TEXT NOT NULL,
    confirmed INTEGER NOT NULL DEFAULT 0 CHECK (confirmed IN (0, 1)),
    -- The newest step of 30 s since 1970 whose code was used: it and older ones are worth nothing any more.
    last_step INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
INSERT INTO "second_factors" VALUES('owner','ZAFRYA5I6LRL2O4QATZN2I3TTOOOMBWQ',1,59843520);
CREATE TABLE seen_devices (
    device TEXT PRIMARY KEY,
    name   TEXT NOT NULL
);
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO "settings" VALUES('time_zone','Europe/Madrid');
INSERT INTO "settings" VALUES('activation','on');
INSERT INTO "settings" VALUES('currency','USD');
CREATE TABLE site (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO "site" VALUES('database_id','d2d0dcc4b325fdd9');
INSERT INTO "site" VALUES('trial','{"version": 1, "first_ms": 1795305600000, "least_ms": 1795305600000, "is_dated": true, "seals": {"3e2e57f4cfc15cc6": "cb0761d9c1f2f31a544bac0ecf3cd37d10a8358c7c1f1fa57b9d0d220e6795fe"}}
');
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
INSERT INTO "stays" VALUES(1,7,'Guest',1772442000000,1772442000000,0,18,-19880000);
CREATE TABLE submissions (
    token  TEXT PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    answer TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "submissions" VALUES('token',1772442000000,'done');
CREATE TABLE tariff_drafts (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL,
    state           TEXT NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'scheduled', 'active', 'taken-back')),
    rates           TEXT NOT NULL,
    rate_count      INTEGER NOT NULL CHECK (rate_count > 0),
    changed_at_ms   INTEGER NOT NULL,
    changed_by      TEXT NOT NULL,
    activate_at_ms  INTEGER,
    scheduled_by    TEXT NOT NULL DEFAULT '',
    activated_at_ms INTEGER,
    activated_by    TEXT NOT NULL DEFAULT '',
    -- Counts activations: clocks are set, so that no time tells which was the last.
    activation      INTEGER UNIQUE,
    -- The rates that it replaced, with their ids: as JSON.
    rates_before    TEXT,
    CHECK ((state = 'scheduled') = (activate_at_ms IS NOT NULL)),
    CHECK ((state IN ('active', 'taken-back')) = (activated_at_ms IS NOT NULL)),
    CHECK ((activated_at_ms IS NULL) = (activation IS NULL)),
    CHECK ((state = 'active') = (rates_before IS NOT NULL))
);
INSERT INTO "tariff_drafts" VALUES(1,'draft','draft','active,remark,prefix,number_length,initial_cost,initial_time,rate,billing_unit,start_time,end_time,days,extensions
1,city,9,9,0.1000,60,0.000001,55,00:00:00,23:59:59,,all
1,mobile,9,12,0.1000,60,0.000001,55,00:00:00,23:59:59,,all
1,abroad,00,0,0.0000,0,0.000001,60,00:00:00,23:59:59,,all
1,free phone,0800,0,0.0000,0,0.000001,60,00:00:00,23:59:59,,all
',4,1772442000000,'bill-ann',NULL,'',NULL,'',NULL,NULL);
INSERT INTO "tariff_drafts" VALUES(2,'next year','scheduled','active,remark,prefix,number_length,initial_cost,initial_time,rate,billing_unit,start_time,end_time,days,extensions
1,city,9,9,0.1000,60,0.000002,55,00:00:00,23:59:59,,all
1,mobile,9,12,0.1000,60,0.000002,55,00:00:00,23:59:59,,all
1,abroad,00,0,0.0000,0,0.000002,60,00:00:00,23:59:59,,all
1,free phone,0800,0,0.0000,0,0.000002,60,00:00:00,23:59:59,,all
',4,1772442000000,'bill-ann',1772528400000,'bill-ann',NULL,'',NULL,NULL);
INSERT INTO "tariff_drafts" VALUES(3,'counts','active','active,remark,prefix,number_length,initial_cost,initial_time,rate,billing_unit,start_time,end_time,days,extensions
1,city,9,9,0.1000,60,0.0300,55,00:00:00,23:59:59,,all
1,mobile,9,12,0.1000,60,0.0300,55,00:00:00,23:59:59,,all
1,abroad,00,0,0.0000,0,0.0300,60,00:00:00,23:59:59,,all
1,free phone,0800,0,0.0000,0,0.0300,60,00:00:00,23:59:59,,all
',4,1772442000000,'bill-ann',NULL,'',1772442000000,'bill-ann',1,'[{"id":1,"active":true,"remark":"city","prefix":"9","number_length":9,"initial_cost_micros":100000,"initial_seconds":60,"rate_micros":20000,"unit_seconds":55,"start_time":"00:00:00","end_time":"23:59:59","days":"1234567","all_extensions":true,"extensions":[]},{"id":2,"active":true,"remark":"mobile","prefix":"9","number_length":12,"initial_cost_micros":100000,"initial_seconds":60,"rate_micros":50000,"unit_seconds":55,"start_time":"00:00:00","end_time":"23:59:59","days":"1234567","all_extensions":true,"extensions":[]},{"id":3,"active":true,"remark":"abroad","prefix":"00","number_length":0,"initial_cost_micros":0,"initial_seconds":0,"rate_micros":1000000,"unit_seconds":60,"start_time":"00:00:00","end_time":"23:59:59","days":"1234567","all_extensions":true,"extensions":[]},{"id":4,"active":true,"remark":"free phone","prefix":"0800","number_length":0,"initial_cost_micros":0,"initial_seconds":0,"rate_micros":0,"unit_seconds":60,"start_time":"00:00:00","end_time":"23:59:59","days":"1234567","all_extensions":true,"extensions":[]}]');
INSERT INTO "tariff_drafts" VALUES(4,'taken back','taken-back','active,remark,prefix,number_length,initial_cost,initial_time,rate,billing_unit,start_time,end_time,days,extensions
1,city,9,9,0.1000,60,0.0300,55,00:00:00,23:59:59,,all
1,mobile,9,12,0.1000,60,0.0300,55,00:00:00,23:59:59,,all
1,abroad,00,0,0.0000,0,0.0300,60,00:00:00,23:59:59,,all
1,free phone,0800,0,0.0000,0,0.0300,60,00:00:00,23:59:59,,all
',4,1772442000000,'bill-ann',NULL,'',1772442000000,'bill-ann',2,NULL);
CREATE TABLE trunks (
    device TEXT PRIMARY KEY,
    name   TEXT NOT NULL
, free_seconds INTEGER NOT NULL DEFAULT 0 CHECK (free_seconds >= 0), channels INTEGER NOT NULL DEFAULT 0 CHECK (channels >= 0));
INSERT INTO "trunks" VALUES('PJSIP/carrier','carrier',3,0);
INSERT INTO "trunks" VALUES('DAHDI/g1','Lines',0,4);
CREATE UNIQUE INDEX accounts_open_extension ON accounts (extension) WHERE closed_at_ms IS NULL;
CREATE INDEX devices_account ON devices (account_id);
CREATE INDEX rates_prefix ON rates (prefix);
CREATE INDEX calls_extension ON calls (extension, asked_at_ms);
CREATE INDEX calls_open ON calls (account_id) WHERE state IN ('held', 'talking');
CREATE INDEX stays_account ON stays (account_id, id);
CREATE INDEX submissions_age ON submissions (at_ms);
CREATE INDEX rate_extensions_extension ON rate_extensions (extension);
CREATE INDEX calls_log ON calls (
    asked_at_ms, id, local_day, account_id, extension, number, trunk, state, flags, talk_seconds, cost_micros
);
CREATE TRIGGER people_refuse_delete BEFORE DELETE ON people
BEGIN SELECT RAISE(ABORT, 'a billing user is disabled, never deleted: the audit log names him'); END;
CREATE TRIGGER people_refuse_another_name BEFORE UPDATE OF name ON people
BEGIN SELECT RAISE(ABORT, 'a billing user keeps his name: the audit log names him'); END;
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
CREATE INDEX ledger_account ON ledger (account_id, id);
CREATE UNIQUE INDEX ledger_one_charge_per_call ON ledger (call_id) WHERE kind = 'call';
CREATE UNIQUE INDEX ledger_one_undo_per_entry ON ledger (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX ledger_account_payments ON ledger (account_id, id) WHERE call_id IS NULL;
CREATE TRIGGER ledger_refuses_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: post a correction instead'); END;
CREATE TRIGGER ledger_refuses_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: post a correction instead'); END;
CREATE TRIGGER ledger_refuses_overwrite BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM ledger WHERE id = NEW.id)
  OR (NEW.kind = 'call' AND EXISTS (SELECT 1 FROM ledger WHERE kind = 'call' AND call_id = NEW.call_id))
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: an entry cannot be overwritten'); END;
CREATE TRIGGER ledger_refuses_unknown_call BEFORE INSERT ON ledger
WHEN NEW.call_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM calls WHERE call_id = NEW.call_id)
BEGIN SELECT RAISE(ABORT, 'a charge needs its call'); END;
CREATE VIEW booked_calls AS
    SELECT call_id, state, account_id, local_day, local_hour, trunk, coalesce(json_extract(rate, '$.prefix'), 'none') AS destination,
        talk_seconds, cost_micros, uncollected_micros FROM calls
    UNION ALL
    SELECT call_id, state, account_id, local_day, local_hour, trunk, destination, talk_seconds, cost_micros, 0
    FROM archived_calls;
CREATE TRIGGER archived_calls_refuse_what_is_no_call BEFORE INSERT ON archived_calls
WHEN NOT EXISTS (
    SELECT 1 FROM calls WHERE call_id = NEW.call_id AND state = NEW.state AND account_id IS NEW.account_id
    AND local_day = NEW.local_day AND local_hour IS NEW.local_hour AND trunk = NEW.trunk
    AND coalesce(json_extract(rate, '$.prefix'), 'none') = NEW.destination AND talk_seconds = NEW.talk_seconds
    AND cost_micros = NEW.cost_micros AND uncollected_micros = 0 AND flags = ''
) OR EXISTS (SELECT 1 FROM archived_calls WHERE call_id = NEW.call_id)
BEGIN SELECT RAISE(ABORT, 'only a call that is over can be archived, and once'); END;
CREATE INDEX calls_without_rate ON calls (asked_at_ms, local_day, number, talk_seconds, cost_micros) WHERE reason = 'no-rate';
CREATE TRIGGER calls_own_after_goes_along AFTER DELETE ON calls
WHEN NOT EXISTS (SELECT 1 FROM calls WHERE id > OLD.id)
BEGIN
    UPDATE accounts SET own_after_call = (SELECT coalesce(max(id), 0) FROM calls)
    WHERE own_after_call > (SELECT coalesce(max(id), 0) FROM calls);
END;
CREATE INDEX calls_flagged ON calls (asked_at_ms, local_day, flags, talk_seconds, cost_micros) WHERE flags <> '';
CREATE INDEX calls_without_payer ON calls (asked_at_ms, local_day, talk_seconds, cost_micros) WHERE reason = 'no-payer';
CREATE TRIGGER calls_without_talk_count_at_once AFTER INSERT ON calls WHEN NEW.state IN ('released', 'refused')
BEGIN
    INSERT INTO daily_trunk_totals (day, trunk, calls, talk_seconds, cost_micros, unanswered, refused)
        VALUES (NEW.local_day, NEW.trunk, 0, 0, 0, NEW.state = 'released', NEW.state = 'refused')
        ON CONFLICT (day, trunk) DO UPDATE SET
            unanswered = unanswered + excluded.unanswered, refused = refused + excluded.refused;
    DELETE FROM finished_periods
        WHERE period IN (NEW.local_day, substr(NEW.local_day, 1, 7), substr(NEW.local_day, 1, 4));
END;
CREATE TRIGGER calls_without_talk_count AFTER UPDATE OF state ON calls
WHEN NEW.state IN ('released', 'refused') AND OLD.state <> NEW.state
BEGIN
    INSERT INTO daily_trunk_totals (day, trunk, calls, talk_seconds, cost_micros, unanswered, refused)
        VALUES (NEW.local_day, NEW.trunk, 0, 0, 0, NEW.state = 'released', NEW.state = 'refused')
        ON CONFLICT (day, trunk) DO UPDATE SET
            unanswered = unanswered + excluded.unanswered, refused = refused + excluded.refused;
    DELETE FROM finished_periods
        WHERE period IN (NEW.local_day, substr(NEW.local_day, 1, 7), substr(NEW.local_day, 1, 4));
END;
CREATE TRIGGER calls_without_talk_count_no_more AFTER UPDATE OF state ON calls
WHEN OLD.state IN ('released', 'refused') AND OLD.state <> NEW.state
BEGIN
    UPDATE daily_trunk_totals
        SET unanswered = unanswered - (OLD.state = 'released'), refused = refused - (OLD.state = 'refused')
        WHERE day = OLD.local_day AND trunk = OLD.trunk;
    DELETE FROM finished_periods
        WHERE period IN (OLD.local_day, substr(OLD.local_day, 1, 7), substr(OLD.local_day, 1, 4));
END;
CREATE INDEX calls_number ON calls (number, asked_at_ms);
CREATE INDEX ledger_payments ON ledger (at_ms, kind, account_id, amount_micros, call_id) WHERE call_id IS NULL;
CREATE INDEX ledger_account_kinds ON ledger (account_id, kind, id, amount_micros, call_id) WHERE call_id IS NULL;
CREATE INDEX rates_precedence ON rates (precedence);
CREATE INDEX rates_remark ON rates (remark);
CREATE INDEX rates_length ON rates (number_length);
CREATE INDEX rates_initial ON rates (initial_cost_micros);
CREATE INDEX rates_rate ON rates (rate_micros);
CREATE INDEX rates_start ON rates (start_time);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('mirror',28);
INSERT INTO "sqlite_sequence" VALUES('changes',55);
INSERT INTO "sqlite_sequence" VALUES('ledger',20);
INSERT INTO "sqlite_sequence" VALUES('rates',4);
INSERT INTO "sqlite_sequence" VALUES('stays',1);
INSERT INTO "sqlite_sequence" VALUES('people',3);
INSERT INTO "sqlite_sequence" VALUES('tariff_drafts',4);
INSERT INTO "sqlite_sequence" VALUES('saved_searches',1);
PRAGMA user_version = 14;
COMMIT;
