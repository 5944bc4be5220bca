"""`coovox-license`: the commands. Works offline, and needs nothing but Python and cryptography.

Exit status: 0 everything was done; 1 nothing was, and one line says why; 2 the
command was written wrongly; 3 some of several files were refused, the others done.
"""

import argparse
import io
import json
import os
import sys
import time
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from coovox_billing.core.license import (
    check_device,
    check_issuer,
    check_period,
    parse_certificate,
    parse_license,
    parse_public_key,
    parse_source,
)
from coovox_license import __version__, certifying, keys, summary
from coovox_license.files import EXPECTED, Prepared, Refused, read_text, shown, words_of
from coovox_license.issuing import Issuer, Outcome, Wish, source_files
from coovox_license.journal import entries_of, held
from coovox_license.register import Register
from coovox_license.words import about_certificate, about_key, counted, described, utc

DONE, REFUSED, SOME_REFUSED = 0, 1, 3
KEYS_VARIABLE = "COOVOX_LICENSE_KEYS"
OUR_SUFFIXES = (".ac", ".license", ".certificate", ".pub")
CERTIFICATE, REGISTER = "distributor.certificate", "register.jsonl"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = build_parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except EXPECTED as error:
        _complain(words_of(error))
    except KeyboardInterrupt:
        _complain("stopped; what was told as done is done")
    return REFUSED


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = argparse.ArgumentParser(
        prog="coovox-license", description="Turns the source files of CooVox Billing devices into licenses."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_keygen(commands.add_parser("keygen", help="make a key pair; the private key is encrypted"))
    _add_certify(commands.add_parser("certify", help="the vendor: let a distributor issue licenses"))
    _add_inspect(commands.add_parser("inspect", help="say in words what a file is"))
    _add_issue(commands.add_parser("issue", help="make licenses from source files"))
    _add_verify(commands.add_parser("verify", help="check a license as a device does"))
    _add_register(commands.add_parser("register", help="show what was issued to whom"))
    return parser


def _add_keygen(parser: argparse.ArgumentParser) -> None:
    role = parser.add_mutually_exclusive_group(required=True)
    role.add_argument("--root", action="store_true", help="the vendor's key, from which all trust comes")
    role.add_argument("--name", help="the distributor's name, as it stands in each license")
    _add_keys(parser, passphrase=True)
    parser.set_defaults(run=_keygen)


def _keygen(given: argparse.Namespace) -> int:
    role, owner = ("root", "CooVox") if given.root else ("distributor", unicodedata.normalize("NFC", given.name))
    keys.check_free(given.keys, role)
    public = keys.make(given.keys, role, owner, keys.ask_passphrase(given.passphrase_file, os.environ, twice=True))
    _say(about_key(public))
    private = shown(given.keys / f"{role}.key")
    print(f"Keep {private} and its passphrase apart, each with a copy: nobody can make it again.")
    if role == "root":
        print(f"Build the product with {shown(given.keys / 'root.pub')}.")
    else:
        print(f"Send {shown(given.keys / 'distributor.pub')} to CooVox, and read the fingerprint out by telephone.")
    return DONE


def _add_certify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("request", type=Path, metavar="DISTRIBUTOR.pub", help="the public key that a distributor sent")
    parser.add_argument("--from", dest="first", type=_day, metavar="DAY", help="first day, 2026-01-01; default: today")
    parser.add_argument("--until", dest="last", type=_day, metavar="DAY", required=True, help="last day for issuing")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: NAME.certificate beside the public key")
    _add_keys(parser, passphrase=True)
    parser.set_defaults(run=_certify)


def _certify(given: argparse.Namespace) -> int:
    public = parse_public_key(read_text(given.request), "distributor")
    root = keys.load(given.keys / "root.key", keys.ask_passphrase(given.passphrase_file, os.environ, twice=False))
    first = given.first or datetime.now(UTC).date()
    output = given.output or given.request.with_suffix(".certificate")
    certificate = certifying.certify(root, public, first, given.last, given.keys, output)
    _say(about_certificate(certificate))
    print(f"Compare the key's fingerprint by telephone, then send {shown(output)} to the distributor.")
    return DONE


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE|FOLDER", help="of a folder all files of ours")
    parser.set_defaults(run=_inspect)


def _inspect(given: argparse.Namespace) -> int:
    files = [file for path in given.paths for file in (_ours_in(path) if path.is_dir() else [path])]
    refused = 0
    for file in files:
        try:
            first, *others = described(read_text(file))
        except EXPECTED as error:
            refused += 1
            _complain(_of_file(file, error))
            continue
        print(f"{shown(file)}: {first}")
        _say(others)
    return _status(len(files), refused)


def _ours_in(folder: Path) -> list[Path]:
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in OUR_SUFFIXES and file.is_file())
    if not found:
        raise Refused(f"{shown(folder)} holds no file that ends in {', '.join(OUR_SUFFIXES)}")
    return found


def _add_issue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE.ac|FOLDER", help="of a folder all .ac files")
    parser.add_argument("--to", metavar="NAME", help="whose license it is; default: the name of the file")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: beside the source file")
    parser.add_argument("--again", action="store_true", help="hand out once more what a device has already")
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--replaces", metavar="NUMBER", help="the license that the device had before a repair")
    change.add_argument("--new-device", action="store_true", help="it only has parts of a device that has a license")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why it replaces, or is a new device")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help=f"default: {CERTIFICATE} in the keys' folder")
    parser.add_argument("--register", type=Path, metavar="FILE", help=f"default: {REGISTER} in the keys' folder")
    parser.add_argument("--summary", type=Path, metavar="FILE.csv", help="default: in OUTPUT, for several files")
    _add_keys(parser, passphrase=True)
    parser.set_defaults(run=_issue, wrong=parser.error)


def _issue(given: argparse.Namespace) -> int:
    if (given.replaces or given.new_device) and not given.reason.strip():
        given.wrong("--replaces and --new-device need a --reason")
    files = source_files(given.paths)
    if len(files) > 1 and (given.replaces or given.new_device):
        given.wrong("--replaces and --new-device are said of one source file")
    wish = Wish(given.to, given.again, given.replaces, given.new_device, given.reason.strip(), given.output)
    file = given.certificate or given.keys / CERTIFICATE
    if not file.exists():
        raise Refused(f"there is no {shown(file)}: the vendor makes it (`certify`) and sends it back; put it there")
    certificate = parse_certificate(read_text(file))
    key = keys.load(given.keys / "distributor.key", keys.ask_passphrase(given.passphrase_file, os.environ, twice=False))
    if keys.public_bytes(key) != certificate.key:
        raise Refused("the certificate is for another key than distributor.key: take the one that CooVox sent for it")
    now_ms = time.time_ns() // 1_000_000
    check_period(certificate, now_ms)
    with held(given.register or given.keys / REGISTER) as journal:
        outcomes = list(map(_told, Issuer(key, certificate, journal).issue_all(files, wish, now_ms)))
    if given.summary or len(outcomes) > 1 or any(path.is_dir() for path in given.paths):
        stamp = utc(now_ms).replace(" UTC", "").replace(":", "").replace(" ", "-")
        file = given.summary or (given.output or outcomes[0].file.parent) / f"summary-{stamp}.csv"
        Prepared(file, summary.render(outcomes)).put()
        print(f"Summary: {shown(file)}")
    return _status(len(outcomes), sum(outcome.license is None for outcome in outcomes))


def _told(outcome: Outcome) -> Outcome:
    if outcome.license:
        print(outcome, flush=True)
    else:
        _complain(str(outcome))
    return outcome


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("license", type=Path, metavar="LICENSE")
    parser.add_argument("--root", type=Path, required=True, metavar="ROOT.pub", help="the vendor's public key")
    parser.add_argument("--source", type=Path, metavar="FILE.ac", help="the device for which it is to be valid")
    parser.add_argument(
        "--revoked", type=int, action="append", default=[], metavar="SERIAL", help="a certificate that was withdrawn"
    )
    parser.set_defaults(run=_verify)


def _verify(given: argparse.Namespace) -> int:
    root = parse_public_key(read_text(given.root), "root")
    license = parse_license(read_text(given.license))
    check_issuer(license.certificate, root.key, frozenset(given.revoked))
    check_period(license.certificate, license.issued_at_ms)
    whose = f"license {license.number} of {license.certificate.distributor} for {license.issued_to}"
    if given.source is None:
        print(f"{whose} is genuine; with --source it is checked for a device")
        return DONE
    comparison = check_device(license, parse_source(read_text(given.source)).identifiers)
    print(f"{whose} is valid on this device: {len(comparison.matching)} of {comparison.named} identifiers match")
    return DONE


def _add_register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    every, one = verbs.add_parser("list", help="all licenses"), verbs.add_parser("show", help="one, with its history")
    one.add_argument("number", metavar="NUMBER")
    for verb, run in ((every, _list), (one, _show)):
        verb.add_argument("--json", action="store_true", help="for programs")
        verb.add_argument("--register", type=Path, metavar="FILE", help=f"default: {REGISTER} in the keys' folder")
        _add_keys(verb, passphrase=False)
        verb.set_defaults(run=run)


def _list(given: argparse.Namespace) -> int:
    file = given.register or given.keys / REGISTER
    entries = entries_of(file)
    if given.json:
        print(json.dumps(entries))
        return DONE
    if not file.exists():
        print(f"nothing was issued yet: there is no {shown(file)} (`--keys` names the folder)")
    register = Register(entries)
    for issued in register.licenses:
        newer = register.replaced_by(issued.number)
        ended = f", replaced by {newer}" if newer else ""
        print(f"{issued.number}  {utc(issued.issued_at_ms)}  {issued.board}  {issued.issued_to}{ended}")
    return DONE


def _show(given: argparse.Namespace) -> int:
    entries = entries_of(given.register or given.keys / REGISTER)
    issued = Register(entries).find(given.number)
    history = [entry for entry in entries if entry["number"] == issued.number]
    if given.json:
        print(json.dumps(history))
        return DONE
    print(f"license {issued.number} for a {issued.board}, issued to {issued.issued_to}")
    print(f"  hardware identifiers: {counted(issued.identifiers)}")
    for entry in history:
        print(f"  {utc(entry['issued_at_ms'])}: from {shown(entry['file'])}, certificate {entry['certificate']}")
        if entry["reason"]:
            print(f"    {shown(entry['reason'])}")
    if issued.replaces:
        print(f"  replaces {issued.replaces}")
    if newer := Register(entries).replaced_by(issued.number):
        print(f"  replaced by {newer}")
    return DONE


def _add_keys(parser: argparse.ArgumentParser, passphrase: bool) -> None:
    default = Path(os.environ.get(KEYS_VARIABLE) or ".")
    where = f"where keys are; default: {KEYS_VARIABLE}, or here"
    parser.add_argument("--keys", type=Path, default=default, metavar="FOLDER", help=where)
    if passphrase:
        how = f"its first line is the passphrase; else {keys.PASSPHRASE_VARIABLE}, or it is asked for"
        parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help=how)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day like 2026-12-31") from None


def _of_file(file: Path, error: Exception) -> str:
    said = words_of(error)
    return said if shown(file) in said else f"{shown(file)}: {said}"


def _status(files: int, refused: int) -> int:
    if not refused:
        return DONE
    return REFUSED if refused == files else SOME_REFUSED


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _complain(text: str) -> None:
    print(f"coovox-license: {text}", file=sys.stderr)
