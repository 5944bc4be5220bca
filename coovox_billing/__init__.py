"""CooVox Billing: prices, limits and records the outbound calls of an Asterisk PBX."""

__version__ = "0.1.0"
