"""The call log written into a file by a bare loop; says how many seconds that took.

`call_log_file.py DATABASE ZONE KIND FILE`, where KIND is `csv`, `xlsx`, or `raw`: what is stored, as it is stored.
"""

import csv
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import xlsxwriter

QUERY = """
SELECT asked_at_ms, name, number, talk_seconds, trunk, cost_micros, state, reason, hangup_cause, calls.extension,
    number_dialed, answered_at_ms, ended_at_ms, uncollected_micros, flags, call_id
FROM calls LEFT JOIN accounts ON accounts.id = account_id ORDER BY asked_at_ms DESC, calls.id DESC
"""
STATES = {"settled": "Answered", "refused": "Refused", "released": "No answer", "held": "In progress"}
REASONS = {
    "emergency": "emergency",
    "locked": "locked",
    "no-money": "no money",
    "no-rate": "no rate",
    "not-billed": "not billed",
}
FLAGS = {"": "", "lost": "End unknown"}
SECONDS_PER_DAY = 86_400


def main(database: str, zone_name: str, kind: str, path: str) -> None:
    connection, zone = sqlite3.connect(f"file:{database}?mode=ro", uri=True), ZoneInfo(zone_name)
    began = time.perf_counter()
    if kind == "raw":
        write_raw(connection, Path(path))
    else:
        {"csv": write_csv, "xlsx": write_xlsx}[kind](connection, zone, Path(path))
    seconds = time.perf_counter() - began
    print(seconds)


def write_raw(connection: sqlite3.Connection, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for row in connection.execute(QUERY):
            writer.writerow(row)


def rows(connection: sqlite3.Connection, zone: ZoneInfo) -> Iterator[tuple[Any, ...]]:
    """As the product's columns have them; amounts in micros, talk in seconds, instants as times of the zone."""
    for (
        asked_ms, name, number, talk, trunk, cost, state, reason, cause, extension,
        dialed, answered_ms, ended_ms, uncollected, flags, call_id,
    ) in connection.execute(QUERY):  # fmt: skip
        status = "Busy" if state == "released" and cause == "17" else STATES[state]
        yield (
            local(asked_ms, zone),
            f"{name}[{extension}]" if name else extension,
            number,
            talk,
            trunk,
            cost,
            f"{status}: {REASONS[reason]}" if reason else status,
            extension,
            dialed,
            local(answered_ms, zone),
            local(ended_ms, zone),
            uncollected,
            FLAGS[flags],
            call_id,
        )


def local(instant_ms: int | None, zone: ZoneInfo) -> datetime | None:
    return None if instant_ms is None else datetime.fromtimestamp(instant_ms // 1000, zone).replace(tzinfo=None)


def write_csv(connection: sqlite3.Connection, zone: ZoneInfo, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for row in rows(connection, zone):
            cells = list(row)
            cells[3] = f"{row[3] // 3600:02}:{row[3] // 60 % 60:02}:{row[3] % 60:02}"
            cells[5], cells[11] = f"{row[5] / 1e6:.4f}", f"{row[11] / 1e6:.4f}"
            writer.writerow(cells)


def write_xlsx(connection: sqlite3.Connection, zone: ZoneInfo, path: Path) -> None:
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        sheet = book.add_worksheet("call-log")
        amount, length, moment = (
            book.add_format({"num_format": code}) for code in ("#,##0.0000", "[hh]:mm:ss", "yyyy-mm-dd hh:mm:ss")
        )
        for place, row in enumerate(rows(connection, zone)):
            for column, value in enumerate(row):
                if column in (0, 9, 10):
                    if value is not None:
                        sheet.write_datetime(place, column, value, moment)
                elif column == 3:
                    sheet.write_number(place, column, value / SECONDS_PER_DAY, length)
                elif column in (5, 11):
                    sheet.write_number(place, column, value / 1e6, amount)
                else:
                    sheet.write_string(place, column, value)


if __name__ == "__main__":
    main(*sys.argv[1:])
