"""Backups of a site: made while calls run, kept somewhere, brought back."""
