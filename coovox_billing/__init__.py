"""CooVox Billing: prices, limits and records the outbound calls of an Asterisk PBX."""

__version__ = "0.1.0"

# When this version was released, ms since 1970 in UTC: a clock behind it is wrong (DESIGN §7).
RELEASED_MS = 1_795_219_200_000
