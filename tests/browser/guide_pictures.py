"""Which pages the user guide shows, each under the name of its picture in `docs/user-guide`."""

from pathlib import Path

from tests.browser.guide_office import NOW

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/user-guide.md"
FOLDER = GUIDE.parent / "user-guide"
# What each page said when its picture was made.
SAID = FOLDER / "said.json"
MOST_BYTES, MOST_WIDTH = 100_000, 1280

_DAYS = f"from=2027-03-01&to={NOW:%Y-%m-%d}"
PAGES = {
    "dashboard": "/dashboard",
    "extensions": "/extensions",
    "recharge": "/extensions/recharge?extension=104",
    "edit": "/extension/101/edit",
    "bulk-edit": "/extensions/bulk-edit?extension=106&extension=107",
    "extension": "/extension/101",
    "rate": "/rate",
    "rate-add": "/rate/add",
    "rate-test": "/rate/test?extension=101&number=961847702&seconds=238",
    "recharge-history": "/recharge-history?per_page=20",
    "call-log": f"/call-log?from={NOW:%Y-%m-%d}&to={NOW:%Y-%m-%d}&per_page=10",
    "statistics": f"/statistics?{_DAYS}",
    "settings": "/settings",
    "audit-log": "/audit-log?per_page=10",
    "billing": "/addons/billing",
    "backups": "/addons/billing/backups",
    "billing-manager": "/addons/billing-manager",
}
