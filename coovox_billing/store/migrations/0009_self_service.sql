-- What is kept of the PIN that opens an extension's self-service.
CREATE TABLE pins (
    account_id INTEGER PRIMARY KEY REFERENCES accounts (id),
    hash       TEXT NOT NULL,
    set_at_ms  INTEGER NOT NULL
);

-- The newest call of whoever was there before the last check-in or check-out: it and older ones are not shown to the
-- person who is there now. An id and not a time, for clocks are set.
ALTER TABLE accounts ADD COLUMN own_after_call INTEGER NOT NULL DEFAULT 0;
UPDATE accounts SET own_after_call = coalesce((
    SELECT max(calls.id) FROM calls
    WHERE calls.extension = accounts.extension AND calls.account_id = accounts.id AND calls.asked_at_ms < coalesce(
        accounts.checked_in_at_ms, (SELECT max(stays.until_ms) FROM stays WHERE stays.account_id = accounts.id)
    )
), 0) WHERE checked_in_at_ms IS NOT NULL OR id IN (SELECT account_id FROM stays);

-- Where the newest call is archived, later ones get ids that were there before.
CREATE TRIGGER calls_own_after_goes_along AFTER DELETE ON calls
WHEN NOT EXISTS (SELECT 1 FROM calls WHERE id > OLD.id)
BEGIN
    UPDATE accounts SET own_after_call = (SELECT coalesce(max(id), 0) FROM calls)
    WHERE own_after_call > (SELECT coalesce(max(id), 0) FROM calls);
END;
