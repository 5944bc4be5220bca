"""Self-service: the person behind an extension sees the own balance, calls and statement."""

from coovox_billing.web.pages.self_service import calls, sign_in
from coovox_billing.web.pages.self_service.account import page

__all__ = ["page"]

for nested in (sign_in.page, calls.page):
    page.register_blueprint(nested)
