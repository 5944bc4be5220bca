"""Every name that the dialplan and the call plane share, in one place.

The other side is `asterisk/extensions_coovox_billing.conf`; a test holds the
two together. What each means is in `asterisk/README.md`.
"""

# Set on the caller's channel by `/authorize`.
VERDICT = "COOVOX_VERDICT"
REASON = "COOVOX_REASON"
LIMIT = "COOVOX_LIMIT"

# Set when a change is on disk: by `/settle` on the trunk's channel, by `/end` on the caller's.
SETTLED = "COOVOX_SETTLED"
ENDED = "COOVOX_ENDED"

# On the caller's channel: which call it makes.
CALL_ID = "COOVOX_ID"

# On the trunk's channel: which call it is, and when it was answered; the UserEvent that tells of the answer.
LEG_ID = "COOVOX_LEG_ID"
LEG_ANSWERED = "COOVOX_LEG_ANSWERED"
ANSWERED_EVENT = "CooVoxAnswered"

# In CEL: what billing did not take. The event of the answer is there too.
LEFT_EVENT = "CooVoxLeft"

# The values of VERDICT.
PASS = "pass"  # noqa: S105
REFUSED = "refused"
DOWN = "down"

# AstDB: what the dialplan knows when it is alone, and what it leaves for the call plane.
FAMILY = "coovox_billing"
MIRROR = "mirror"
COMPLETE = "complete"
PAYER = "payer"
EMERGENCY = "emergency"
INACTIVE = "inactive"
LEFT = "left"
TALKING_ALONE = "alone"
LEFTOVERS = "leftovers"
STRANGE = "strange"

# The arguments of the AGI paths, by name.
AUTHORIZE_ARGUMENTS = (
    "id", "asked", "number", "trunk", "channel", "payer", "transferer", "forwarder", "origin", "callerid",
    "uniqueid", "linkedid", "mirror", "left", "ring", "dial", "options",
)  # fmt: skip
SETTLE_ARGUMENTS = ("id", "record")
END_ARGUMENTS = ("id", "record", "talked", "left")
