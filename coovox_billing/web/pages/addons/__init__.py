"""The owner's *Addons → Billing*."""
