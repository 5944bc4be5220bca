"""The guide's *Extensions* page: the list, and what is done from it."""

from coovox_billing.web.pages.extensions import files, forms, pins, stays, sync
from coovox_billing.web.pages.extensions.listing_page import page

__all__ = ["page"]

for nested in (forms.page, pins.page, stays.page, files.page, sync.page):
    page.register_blueprint(nested)
