"""*My account*: the own password, and the second factor."""

from coovox_billing.web.pages.account import second_factor
from coovox_billing.web.pages.account.password import page

__all__ = ["page"]

page.register_blueprint(second_factor.page)
