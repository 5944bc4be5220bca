-- What a person asks about a call that did not go its usual way, and what reconciliation needs.
ALTER TABLE calls ADD COLUMN ringing_at_ms INTEGER;
ALTER TABLE calls ADD COLUMN ring_limit_seconds INTEGER;
ALTER TABLE calls ADD COLUMN settled_by TEXT NOT NULL DEFAULT '';
-- The talk at its last sign of life, by the call plane's own clock.
ALTER TABLE calls ADD COLUMN seen_talk_seconds INTEGER NOT NULL DEFAULT 0;
