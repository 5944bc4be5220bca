"""The guide's *Rate* page: the list, a rate's form, files of rates, and testing a number."""

from coovox_billing.web.pages.rates import form, imports, trial
from coovox_billing.web.pages.rates.listing_page import page

__all__ = ["page"]

for nested in (form.page, imports.page, trial.page):
    page.register_blueprint(nested)
