"""The tables as peewee models, for reading pages and lists. Writing is `writes`' alone."""

from pathlib import Path
from typing import Any

from peewee import (
    BooleanField,
    CharField,
    CompositeKey,
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
    checked_in_at_ms = IntegerField(null=True)
    name_before_stay = CharField(null=True)
    stay_after_entry = IntegerField(null=True)
    closed_at_ms = IntegerField(null=True)
    recreated = BooleanField()
    own_after_call = IntegerField()

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
    local_hour = IntegerField(null=True)
    talk_seconds = IntegerField()
    hold_micros = IntegerField()
    limit_seconds = IntegerField(null=True)
    promised_seconds = IntegerField(null=True)
    billable_seconds = IntegerField(null=True)
    free_seconds = IntegerField()
    end_requested = BooleanField()
    cost_micros = IntegerField()
    uncollected_micros = IntegerField()
    rate = TextField(null=True)
    why = TextField()
    settled_by = CharField()
    settled_late = BooleanField()
    flags = CharField()
    hangup_cause = CharField()
    caller_channel = CharField()

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
    undoes = IntegerField(null=True)

    class Meta:
        table_name = "ledger"


class Stay(_Table):
    """A guest's stay that is over: from when to when (ms since 1970, UTC), and what was paid at its end, in micros.

    On its bill are the account's ledger entries after `after_entry`, up to `last_entry`.
    """

    account = ForeignKeyField(Account)
    guest = CharField()
    since_ms = IntegerField()
    until_ms = IntegerField()
    after_entry = IntegerField()
    last_entry = IntegerField()
    paid_micros = IntegerField()

    class Meta:
        table_name = "stays"


class DailyExtensionTotal(_Table):
    """An account's answered calls of a local day (`2026-03-02`); costs in micros."""

    day = CharField()
    account = ForeignKeyField(Account)
    calls = IntegerField()
    talk_seconds = IntegerField()
    cost_micros = IntegerField()

    class Meta:
        table_name = "daily_extension_totals"
        primary_key = CompositeKey("day", "account")


class DailyTrunkTotal(_Table):
    """A trunk's answered calls of a local day, those of no extension among them; costs in micros.

    `unanswered` are those that it was tried for last and nobody answered, `refused` those that were not let through.
    """

    day = CharField()
    trunk = CharField()
    calls = IntegerField()
    talk_seconds = IntegerField()
    cost_micros = IntegerField()
    unanswered = IntegerField()
    refused = IntegerField()

    class Meta:
        table_name = "daily_trunk_totals"
        primary_key = CompositeKey("day", "trunk")


class DailyHourTotal(_Table):
    """The answered calls that were dialed within an hour (0 to 23) of a local day; costs in micros."""

    day = CharField()
    hour = IntegerField()
    calls = IntegerField()
    talk_seconds = IntegerField()
    cost_micros = IntegerField()

    class Meta:
        table_name = "daily_hour_totals"
        primary_key = CompositeKey("day", "hour")


class DailyDestinationTotal(_Table):
    """A local day's answered calls by the prefix of the rate that priced them, `none` without one; in micros."""

    day = CharField()
    destination = CharField()
    calls = IntegerField()
    talk_seconds = IntegerField()
    cost_micros = IntegerField()

    class Meta:
        table_name = "daily_destination_totals"
        primary_key = CompositeKey("day", "destination")


class FinishedPeriod(_Table):
    """A month or year that is over and summed up, or a day of one: `2026-02`, `2026`, `2026-02-28`; costs in micros.

    So many `extensions` had answered calls, and these are their sums; calls of no extension are not among them.
    """

    period = CharField(primary_key=True)
    extensions = IntegerField()
    calls = IntegerField()
    talk_seconds = IntegerField()
    cost_micros = IntegerField()

    class Meta:
        table_name = "finished_periods"


class FinishedExtensionTotal(_Table):
    """An account's answered calls of a month or year, and on how many days; it counts if that is a `FinishedPeriod`."""

    period = CharField()
    account = ForeignKeyField(Account)
    calls = IntegerField()
    talk_seconds = IntegerField()
    cost_micros = IntegerField()
    days = IntegerField()

    class Meta:
        table_name = "finished_extension_totals"
        primary_key = CompositeKey("period", "account")


class FinishedTrunkTotal(_Table):
    """A trunk's calls of a month or year, as `DailyTrunkTotal` counts those of a day."""

    period = CharField()
    trunk = CharField()
    calls = IntegerField()
    talk_seconds = IntegerField()
    cost_micros = IntegerField()
    unanswered = IntegerField()
    refused = IntegerField()

    class Meta:
        table_name = "finished_trunk_totals"
        primary_key = CompositeKey("period", "trunk")


class FinishedHourTotal(_Table):
    """The answered calls of a month or year by `weekday * 24 + hour`, Sunday being 0."""

    period = CharField()
    hour_of_week = IntegerField()
    calls = IntegerField()
    talk_seconds = IntegerField()
    cost_micros = IntegerField()

    class Meta:
        table_name = "finished_hour_totals"
        primary_key = CompositeKey("period", "hour_of_week")


class FinishedDestinationTotal(_Table):
    """The answered calls of a month or year by destination, as `DailyDestinationTotal` counts those of a day."""

    period = CharField()
    destination = CharField()
    calls = IntegerField()
    talk_seconds = IntegerField()
    cost_micros = IntegerField()

    class Meta:
        table_name = "finished_destination_totals"
        primary_key = CompositeKey("period", "destination")


class Pin(_Table):
    """What is kept of the PIN of an extension, and since when (ms since 1970, UTC)."""

    account = ForeignKeyField(Account, primary_key=True)
    hash = CharField()
    set_at_ms = IntegerField()

    class Meta:
        table_name = "pins"


class Trunk(_Table):
    """What outbound routes dial, its name, and how many calls it carries at once: 0 where nobody has told."""

    device = CharField(primary_key=True)
    name = CharField()
    channels = IntegerField()

    class Meta:
        table_name = "trunks"


class Change(_Table):
    """What a person changed: who, when (ms since 1970, UTC), from where, what was before and after."""

    at_ms = IntegerField()
    actor = CharField()
    origin = CharField()
    what = CharField()
    before = TextField()
    after = TextField()

    class Meta:
        table_name = "changes"


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


class BillingUserRow(_Table):
    """Somebody who signs in beside the owner; limits in micros, instants in ms since 1970 in UTC."""

    name = CharField()
    remark = CharField()
    role = CharField()
    password = TextField()
    enabled = BooleanField()
    session_epoch = IntegerField()
    recharge_limit_micros = IntegerField(null=True)
    daily_limit_micros = IntegerField(null=True)
    created_at_ms = IntegerField()
    signed_in_at_ms = IntegerField(null=True)

    class Meta:
        table_name = "people"


class ArchivedCall(_Table):
    """What is left here of a call that was moved into a file."""

    call_id = CharField(primary_key=True)
    talk_seconds = IntegerField()

    class Meta:
        table_name = "archived_calls"


class ArchiveFile(_Table):
    """A file that calls of a month were moved into."""

    path = CharField(primary_key=True)
    month = CharField()
    calls = IntegerField()

    class Meta:
        table_name = "archive_files"


class SecondFactor(_Table):
    """What somebody signs in with beside the password, once it is confirmed."""

    name = CharField(primary_key=True)
    secret = CharField()
    confirmed = BooleanField()

    class Meta:
        table_name = "second_factors"


class RecoveryCode(_Table):
    """What somebody signs in with in place of the second factor, once."""

    name = CharField()
    hash = CharField()
    used_at_ms = IntegerField(null=True)

    class Meta:
        table_name = "recovery_codes"
        primary_key = CompositeKey("name", "hash")


class RateRow(_Table):
    """A rate; prices in micros, times in whole seconds, `days` the ISO weekdays on which its window opens.

    Of those that match, the one with the lowest `precedence` is preferred, of equal ones the oldest.
    """

    active = BooleanField()
    remark = CharField()
    prefix = CharField()
    number_length = IntegerField()
    initial_cost_micros = IntegerField()
    initial_seconds = IntegerField()
    rate_micros = IntegerField()
    unit_seconds = IntegerField()
    start_time = CharField()
    end_time = CharField()
    days = CharField()
    all_extensions = BooleanField()
    precedence = IntegerField()

    class Meta:
        table_name = "rates"


class RateExtension(_Table):
    """An extension that a rate lists."""

    rate = ForeignKeyField(RateRow)
    extension = CharField()

    class Meta:
        table_name = "rate_extensions"
        primary_key = CompositeKey("rate", "extension")


class ColumnChoice(_Table):
    """The columns of a list that somebody turned round, separated by spaces."""

    person = CharField()
    list = CharField()
    turned = TextField()

    class Meta:
        table_name = "column_choices"
        primary_key = CompositeKey("person", "list")


class SavedSearchRow(_Table):
    """A search that somebody keeps under a name."""

    person = CharField()
    list = CharField()
    name = CharField()
    search = TextField()

    class Meta:
        table_name = "saved_searches"
