"""The guide's *Rate* page: the list, a rate's form, files of rates, testing a number; the check, and drafts."""

from coovox_billing.web.pages.rates import activation, check, drafts, form, imports, trial, what_if
from coovox_billing.web.pages.rates.listing_page import page

__all__ = ["page"]

for nested in (form.page, imports.page, trial.page, check.page, drafts.page, activation.page, what_if.page):
    page.register_blueprint(nested)
