"""The guide's *Settings* page."""

from coovox_billing.web.pages.settings.form import page

__all__ = ["page"]
