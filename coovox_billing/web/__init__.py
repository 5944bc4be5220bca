"""The management plane's pages: `create_app` makes the Flask application."""

from coovox_billing.web.app import create_app

__all__ = ["create_app"]
