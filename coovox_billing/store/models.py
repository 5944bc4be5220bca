"""The tables as peewee models, for reading pages and lists. Writing is `writes`' alone."""

from pathlib import Path
from typing import Any

from peewee import (
    BooleanField,
    CharField,
    ForeignKeyField,
    IntegerField,
    Model,
    SqliteDatabase,
    TextField,
)

from coovox_billing.store.database import BUSY_TIMEOUT_MS, FILE_NAME, existing

reading: Any = SqliteDatabase(None)


def open_reading(directory: Path) -> Any:
    """Bind the models to the database of a data directory, for reading only; one that is gone is not made anew."""
    reading.init(existing(directory / FILE_NAME), uri=True, pragmas={"query_only": 1, "busy_timeout": BUSY_TIMEOUT_MS})
    return reading


class _Table(Model):
    class Meta:
        database = reading
        legacy_table_names = False


class Account(_Table):
    """An extension's account; amounts in micros."""

    extension = CharField()
    name = CharField()
    billing = BooleanField()
    payment_type = CharField()
    status = CharField()
    balance_micros = IntegerField()
    credit_micros = IntegerField()
    held_micros = IntegerField()
    opened_at_ms = IntegerField()
    closed_at_ms = IntegerField(null=True)
    recreated = BooleanField()

    class Meta:
        table_name = "accounts"


class Device(_Table):
    """A device that an account lists."""

    device = CharField(primary_key=True)
    account = ForeignKeyField(Account, backref="devices")

    class Meta:
        table_name = "devices"


class Call(_Table):
    """An outbound call; amounts in micros, instants in ms since 1970 in UTC."""

    call_id = CharField()
    state = CharField()
    reason = CharField()
    account = ForeignKeyField(Account, null=True, backref="calls")
    extension = CharField()
    device = CharField()
    number_dialed = CharField()
    number = CharField()
    trunk = CharField()
    attempts = IntegerField()
    asked_at_ms = IntegerField()
    ringing_at_ms = IntegerField(null=True)
    answered_at_ms = IntegerField(null=True)
    ended_at_ms = IntegerField(null=True)
    local_day = CharField()
    talk_seconds = IntegerField()
    hold_micros = IntegerField()
    limit_seconds = IntegerField(null=True)
    cost_micros = IntegerField()
    uncollected_micros = IntegerField()
    rate = TextField(null=True)
    why = TextField()
    settled_by = CharField()
    settled_late = BooleanField()
    flags = CharField()
    hangup_cause = CharField()

    class Meta:
        table_name = "calls"


class LedgerEntry(_Table):
    """One movement of a balance, in micros."""

    account = ForeignKeyField(Account, backref="entries")
    kind = CharField()
    amount_micros = IntegerField()
    balance_before_micros = IntegerField()
    balance_after_micros = IntegerField()
    call_id = CharField(null=True)
    reason = CharField()
    actor = CharField()
    at_ms = IntegerField()

    class Meta:
        table_name = "ledger"


class Setting(_Table):
    """A stored site setting."""

    name = CharField(primary_key=True)
    value = TextField()

    class Meta:
        table_name = "settings"


class SiteValue(_Table):
    """Something that the site has one of, such as the owner's password hash."""

    name = CharField(primary_key=True)
    value = TextField()

    class Meta:
        table_name = "site"
