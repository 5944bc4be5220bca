"""`coovox-license`: from key to license, and what is refused with one line."""

import csv
import json
import re
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from coovox_license import issuing, keys
from coovox_license import main as tool
from coovox_license.main import build_parser, main
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from coovox_billing.core.license import parse_license, parse_public_key, render_source, verify_license
from tests.license import cast

PASSPHRASE = "a passphrase for tests"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run a command in a folder of its own, on 2026-12-01; what it returned, said, and complained of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(keys.PASSPHRASE_VARIABLE, PASSPHRASE)
    monkeypatch.setattr(tool.time, "time_ns", lambda: cast.NOW_MS * 1_000_000)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = int(error.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vendor's and Acme's keys, made once: encrypting takes its time."""
    folder = tmp_path_factory.mktemp("keys")
    keys.make(folder / "root", "root", "CooVox", PASSPHRASE)
    keys.make(folder / "acme", "distributor", "Acme Telecom", PASSPHRASE)
    passphrase = folder / "passphrase"
    passphrase.write_text(PASSPHRASE)
    period = ("--from", "2026-01-01", "--until", "2027-12-31", "--keys", str(folder / "root"))
    assert main(["certify", str(folder / "acme/distributor.pub"), *period, "--passphrase-file", str(passphrase)]) == 0
    return folder


@pytest.fixture
def acme(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Acme's folder, with an empty register."""
    folder = tmp_path / "acme"
    shutil.copytree(made / "acme", folder)
    monkeypatch.setenv(tool.KEYS_VARIABLE, str(folder))
    return folder


@pytest.fixture
def root_pub(made: Path) -> Path:
    return made / "root/root.pub"


def write(path: Path | str, hardware: cast.Hardware = cast.SONNE, **changes: object) -> Path:
    """The source file of a device."""
    Path(path).write_text(render_source(cast.source(hardware, **changes)), encoding="utf-8")
    return Path(path)


def private(key: Ed25519PrivateKey | X25519PrivateKey, passphrase: str) -> bytes:
    """A private key's file."""
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def test_it_makes_a_key_that_only_its_owner_reads(run: Command, tmp_path: Path) -> None:
    status, said, _ = run("keygen", "--name", "Acme Telecom", "--keys", "acme")
    assert status == 0
    public = parse_public_key((tmp_path / "acme/distributor.pub").read_text(), "distributor")
    assert keys.fingerprint(public.key) in said
    private = tmp_path / "acme/distributor.key"
    assert private.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert keys.public_bytes(keys.load(private, PASSPHRASE)) == public.key


@pytest.mark.parametrize("left", ["distributor.key", "distributor.pub"])
def test_it_never_writes_over_a_key(run: Command, tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_text("precious")
    status, _, complaint = run("keygen", "--name", "Acme")
    assert status == 1
    assert f"{left} exists and is never overwritten" in complaint
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(left, "precious")]


@pytest.mark.parametrize("passphrase", ["short", "x" * 11])
def test_it_takes_no_short_passphrase(run: Command, tmp_path: Path, passphrase: str) -> None:
    (tmp_path / "passphrase").write_text(f"{passphrase}\n")
    status, _, complaint = run("keygen", "--root", "--passphrase-file", "passphrase")
    assert (status, len(list(tmp_path.iterdir()))) == (1, 1)
    assert f"{len(passphrase)} characters, 12 are the least" in complaint


def test_it_asks_for_the_passphrase_twice(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(keys.PASSPHRASE_VARIABLE)
    monkeypatch.setattr(keys.sys.stdin, "isatty", lambda: True, raising=False)
    typed = iter(["one long passphrase", "another long one"])
    monkeypatch.setattr(keys.getpass, "getpass", lambda prompt: next(typed))
    assert "the two passphrases differ" in run("keygen", "--root")[2]
    assert list(tmp_path.iterdir()) == []
    typed = iter(["one long passphrase"] * 2)
    assert run("keygen", "--root")[0] == 0


def test_it_says_how_to_give_a_passphrase_where_nobody_types(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(keys.PASSPHRASE_VARIABLE)
    monkeypatch.setattr(keys.sys.stdin, "isatty", lambda: False, raising=False)
    assert "use --passphrase-file or COOVOX_LICENSE_PASSPHRASE" in run("keygen", "--root")[2]


@pytest.mark.parametrize("name", ["", " Acme", "Acme\u202e", "x" * 57])
def test_it_takes_no_name_that_could_deceive(run: Command, tmp_path: Path, name: str) -> None:
    status, _, complaint = run("keygen", "--name", name)
    assert (status, list(tmp_path.iterdir())) == (1, [])
    assert "cannot be used" in complaint


def test_it_numbers_certificates(run: Command, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "made")
    arguments = ("certify", "made/acme/distributor.pub", "--keys", "made/root", "--until")
    assert "exists and is never overwritten" in run(*arguments, "2029-12-31")[2]
    status, said, _ = run(*arguments, "2029-12-31", "--output", "next.certificate")
    assert (status, "certificate: 2," in said) == (0, True)
    assert "is before the first" in run(*arguments, "2020-01-01", "--output", "third.certificate")[2]
    assert run(*arguments, "tomorrow")[0] == 2


def test_it_certifies_no_root_key_and_nothing_damaged(run: Command, made: Path, tmp_path: Path) -> None:
    arguments = ("--until", "2029-12-31", "--keys", made / "root", "--output", "out")
    assert "public key of a root, not of a distributor" in run("certify", made / "root/root.pub", *arguments)[2]
    damaged = tmp_path / "damaged.pub"
    damaged.write_text((made / "acme/distributor.pub").read_text().replace("Acme", "Acne"))
    assert "public key was damaged" in run("certify", damaged, *arguments)[2]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (
            private(Ed25519PrivateKey.generate(), ""),
            "not encrypted",
        ),
        (
            private(Ed25519PrivateKey.generate(), "another passphrase"),
            "the passphrase is wrong",
        ),
        (
            private(X25519PrivateKey.generate(), PASSPHRASE),
            "a key of another kind",
        ),
        (b"", "or it is no key"),
        (b"\0" * 100_000, "or it is no key"),
        (
            private(Ed25519PrivateKey.generate(), PASSPHRASE),
            "the certificate is for another key",
        ),
    ],
    ids=["open", "other passphrase", "other kind", "empty", "zeros", "not the certified"],
)
def test_it_signs_with_the_certified_key_alone(run: Command, acme: Path, key: bytes, says: str) -> None:
    (acme / "distributor.key").write_bytes(key)
    write("Hotel Sonne.ac")
    status, said, complaint = run("issue", "Hotel Sonne.ac")
    assert (status, said, complaint.count("\n")) == (1, "", 1)
    assert says in complaint
    assert not (acme / "register.jsonl").exists()


def test_it_issues_a_license_that_the_device_takes(run: Command, acme: Path, root_pub: Path, tmp_path: Path) -> None:
    write("billing.ac")
    status, said, complaint = run("issue", "billing.ac", "--to", "Hotel Sonne, Graz")
    assert (status, complaint) == (0, "")
    assert said == "billing.ac: license 1-000001 for Hotel Sonne, Graz: coovox-billing-1-000001.license\n"
    text = (tmp_path / "coovox-billing-1-000001.license").read_text()
    root = parse_public_key(root_pub.read_text(), "root").key
    license = verify_license(text, root, cast.identifiers(cast.SONNE))
    assert (license.issued_to, license.issued_at_ms, license.board) == ("Hotel Sonne, Graz", cast.NOW_MS, "CooVox U50")
    (entry,) = json.loads(run("register", "list", "--json")[1])
    assert (entry["number"], entry["issued_to"], entry["certificate"]) == ("1-000001", "Hotel Sonne, Graz", 1)


@pytest.mark.parametrize("name", ["billing.ac", "billing (1).ac", "Billing-2.AC"])
def test_it_asks_whose_license_it_is(run: Command, acme: Path, name: str) -> None:
    write(name)
    status, _, complaint = run("issue", name)
    assert (status, "add --to NAME" in complaint) == (1, True)


def test_it_hands_the_same_number_out_again_when_asked(run: Command, acme: Path, tmp_path: Path) -> None:
    write("Hotel Sonne.ac")
    write("later.ac", request="9" * 32, version="0.2.0")
    run("issue", "Hotel Sonne.ac")
    status, _, complaint = run("issue", "later.ac")
    assert status == 1
    assert "this device has license 1-000001 (Hotel Sonne, 2026-12-01 12:00:00 UTC): add --again" in complaint
    status, said, _ = run("issue", "later.ac", "--again", "--output", "out")
    assert (status, "license 1-000001 for Hotel Sonne, once more" in said) == (0, True)
    assert parse_license((tmp_path / "out/coovox-billing-1-000001.license").read_text()).number == "1-000001"
    assert len(json.loads(run("register", "show", "1-000001", "--json")[1])) == 2


def test_it_hands_the_same_number_out_under_the_next_certificate(run: Command, acme: Path, made: Path) -> None:
    shutil.copytree(made / "root", "root")
    write("Hotel Sonne.ac")
    run("issue", "Hotel Sonne.ac")
    certificate = acme / "distributor.certificate"
    certificate.unlink()
    arguments = ("--until", "2030-12-31", "--keys", "root", "--output", certificate)
    monday = ("--from", "2026-11-30")
    assert run("certify", acme / "distributor.pub", *arguments, *monday)[0] == 0
    assert run("issue", "Hotel Sonne.ac", "--again")[0] == 0
    verify = ("verify", "coovox-billing-1-000001.license", "--root", "root/root.pub", "--revoked", "1")
    assert run(*verify)[0] == 0
    assert run(*verify, "--revoked", "2")[0] == 1


def test_it_keeps_what_was_done_before_it_was_stopped(
    run: Command, acme: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("Hotel Mond.ac", cast.MOND)
    write("Hotel Sonne.ac")
    read = issuing.read_text

    def stopped(file: Path) -> str:
        if file.name == "Hotel Sonne.ac":
            raise KeyboardInterrupt
        return read(file)

    monkeypatch.setattr(issuing, "read_text", stopped)
    status, said, complaint = run("issue", ".")
    assert (status, said.count("license 1-000001 for Hotel Mond"), "stopped" in complaint) == (1, 1, True)
    assert len(json.loads(run("register", "list", "--json")[1])) == 1


def test_it_asks_about_a_device_with_parts_of_another(run: Command, acme: Path) -> None:
    write("Hotel Sonne.ac")
    write("repaired.ac", cast.SONNE_REPAIRED)
    run("issue", "Hotel Sonne.ac")
    status, _, complaint = run("issue", "repaired.ac", "--again")
    assert status == 1
    assert "has 2 of the 3 identifiers of license 1-000001" in complaint
    assert "goes on being valid on it: after a repair add --replaces 1-000001 --reason TEXT" in complaint


def test_it_replaces_after_a_repair(run: Command, acme: Path, tmp_path: Path) -> None:
    write("Hotel Sonne.ac")
    write("repaired.ac", cast.SONNE_REPAIRED)
    run("issue", "Hotel Sonne.ac")
    assert run("issue", "repaired.ac", "--replaces", "1-000001")[0] == 2
    status, said, _ = run("issue", "repaired.ac", "--replaces", "1-000001", "--reason", "network card burnt")
    assert (status, "license 1-000002 for Hotel Sonne, in place of 1-000001" in said) == (0, True)
    license = parse_license((tmp_path / "coovox-billing-1-000002.license").read_text())
    assert (license.replaces, license.issued_to) == ("1-000001", "Hotel Sonne")
    listed = run("register", "list")[1].splitlines()
    assert [line.endswith("replaced by 1-000002") for line in listed] == [True, False]
    run("issue", "repaired.ac", "--again")
    assert [entry["replaces"] for entry in json.loads(run("register", "list", "--json")[1])] == [
        None,
        *["1-000001"] * 2,
    ]
    shown = run("register", "show", "1-000002")[1]
    assert "network card burnt" in shown and "replaces 1-000001" in shown


def test_it_replaces_each_license_once(run: Command, acme: Path) -> None:
    write("Hotel Sonne.ac")
    write("repaired.ac", cast.SONNE_REPAIRED)
    write("again.ac", (cast.SONNE[0], cast.SONNE_REPAIRED[2], ("mac", "00:0E:A9:99:00:09")))
    run("issue", "Hotel Sonne.ac")
    run("issue", "repaired.ac", "--replaces", "1-000001", "--reason", "network card")
    complaint = run("issue", "again.ac", "--replaces", "1-000001", "--reason", "card")[2]
    assert "1-000001 was replaced by 1-000002 already: name that one" in complaint
    assert "2 of the 3 identifiers of license 1-000002" in run("issue", "Hotel Sonne.ac", "--again")[2]
    assert run("issue", "again.ac", "--replaces", "1-000002", "--reason", "card")[0] == 0
    assert "was replaced" not in run("issue", "again.ac", "--again")[2]


def test_it_moves_a_license_to_a_box_that_has_nothing_of_the_old_one(run: Command, acme: Path) -> None:
    write("Hotel Sonne.ac")
    write("moved.ac", cast.MOND)
    run("issue", "Hotel Sonne.ac")
    assert "holds no license 9-000009" in run("issue", "moved.ac", "--replaces", "9-000009", "--reason", "flood")[2]
    assert run("issue", "moved.ac", "--replaces", "1-000001", "--reason", "flood")[0] == 0


def test_it_replaces_no_license_of_somebody_else(run: Command, acme: Path) -> None:
    write("Hotel Sonne.ac")
    write("Hotel Mond.ac", cast.MOND)
    write("repaired.ac", cast.SONNE_REPAIRED)
    run("issue", "Hotel Sonne.ac", "Hotel Mond.ac")
    complaint = run("issue", "repaired.ac", "--replaces", "1-000002", "--reason", "x")[2]
    assert "identifiers of license 1-000001" in complaint and "nothing in common with 1-000002" in complaint


def test_it_tells_a_new_device_with_an_old_card_from_a_repaired_one(run: Command, acme: Path) -> None:
    write("Hotel Sonne.ac")
    write("Hotel Mond.ac", (*cast.MOND[:2], cast.SONNE[2]))
    run("issue", "Hotel Sonne.ac")
    complaint = run("issue", "Hotel Mond.ac")[2]
    assert "1 of the 3 identifiers" in complaint and "is not valid on it any more" in complaint
    assert run("issue", "Hotel Mond.ac", "--new-device")[0] == 2
    assert run("issue", "Hotel Mond.ac", "--new-device", "--reason", "a used card")[0] == 0


def test_it_works_through_a_folder(run: Command, acme: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    folder.mkdir()
    write(folder / "Hotel Sonne.ac")
    write(folder / "a copy.AC")
    write(folder / "=cmd()|A1.ac", cast.MOND)
    (folder / "empty.ac").write_bytes(b"")
    (folder / "huge.ac").write_bytes(b"x" * 10_000_000)
    (folder / "license.ac").write_text(cast.license_text())
    (folder / "fax.ac").write_text(render_source(cast.source(product="coovox-fax")))
    (folder / "cut.ac").write_text(render_source(cast.source())[:-30])
    (folder / "notes.txt").write_text("no source file")
    status, said, complaint = run("issue", folder, "--output", "out")
    assert status == 3
    assert said.count(": license 1-00000") == 2
    assert complaint.count("\n") == 6
    (summary,) = (tmp_path / "out").glob("summary-*.csv")
    with summary.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"]: row["verdict"] for row in rows} == {
        "'=cmd()|A1.ac": "issued",
        "Hotel Sonne.ac": "issued",
        "a copy.AC": "refused",
        "cut.ac": "refused",
        "empty.ac": "refused",
        "fax.ac": "refused",
        "huge.ac": "refused",
        "license.ac": "refused",
    }
    assert all(bool(row["why"]) == (row["verdict"] == "refused") for row in rows)
    assert {row["issued to"] for row in rows} == {"'=cmd()|A1", "Hotel Sonne", ""}
    assert sorted(path.name for path in (tmp_path / "out").glob("*.license")) == [
        "coovox-billing-1-000001.license",
        "coovox-billing-1-000002.license",
    ]
    assert run("issue", folder, "--output", "out")[0] == 1


def test_it_takes_a_name_as_other_systems_write_it(run: Command, acme: Path) -> None:
    write("Cafe\u0301 Sonne.ac")
    run("issue", "Cafe\u0301 Sonne.ac")
    assert [entry["issued_to"] for entry in json.loads(run("register", "list", "--json")[1])] == ["Caf\u00e9 Sonne"]


def test_it_stays_quick_with_many_licenses(run: Command, acme: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    folder.mkdir()
    for number in range(300):
        write(folder / f"site {number}.ac", (("serial", f"ZU50-{number:05d}"), ("mac", f"00:0E:A9:00:{number:04x}")))
    assert run("issue", folder)[0] == 0
    entries = json.loads(run("register", "list", "--json")[1])
    assert [entry["number"] for entry in entries] == [f"1-{number:06d}" for number in range(1, 301)]
    began = time.process_time()
    assert run("issue", folder, "--again")[0] == 0
    assert time.process_time() - began < 5


def test_it_says_so_when_a_folder_holds_nothing(run: Command, acme: Path, tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    assert "holds no .ac file" in run("issue", "mail")[2]
    assert "cannot be read: No such file" in run("issue", "none.ac")[2]


def test_it_keeps_no_license_that_the_register_does_not_know(
    run: Command, acme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("Hotel Sonne.ac")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("coovox_license.journal.Journal._write", full)
    status, _, complaint = run("issue", "Hotel Sonne.ac")
    assert (status, "No space left" in complaint) == (1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Hotel Sonne.ac", "acme"]


def test_it_can_hand_out_what_a_crash_kept_back(
    run: Command, acme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("Hotel Sonne.ac")

    def crash(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(issuing.Prepared, "put", crash)
        assert "stopped" in run("issue", "Hotel Sonne.ac")[2]
    assert "has license 1-000001" in run("issue", "Hotel Sonne.ac")[2]
    assert run("issue", "Hotel Sonne.ac", "--again")[0] == 0
    assert (tmp_path / "coovox-billing-1-000001.license").is_file()


@pytest.mark.parametrize(
    ("now_ms", "says"), [(0, "issued on 1970"), (cast.ACME.until_ms + 1000, "issued on 2028-01-01")]
)
def test_it_issues_nothing_out_of_its_time(
    run: Command, acme: Path, monkeypatch: pytest.MonkeyPatch, now_ms: int, says: str
) -> None:
    write("Hotel Sonne.ac")
    monkeypatch.setattr(tool.time, "time_ns", lambda: now_ms * 1_000_000)
    status, _, complaint = run("issue", "Hotel Sonne.ac")
    assert (status, says in complaint) == (1, True)
    assert not (acme / "register.jsonl").exists()


def test_it_issues_nothing_on_a_register_that_was_changed(run: Command, acme: Path) -> None:
    write("Hotel Sonne.ac")
    write("Hotel Mond.ac", cast.MOND)
    run("issue", "Hotel Sonne.ac")
    register = acme / "register.jsonl"
    register.write_text(register.read_text().replace("Hotel Sonne", "Hotel Mond"))
    assert "was changed at line 1" in run("issue", "Hotel Mond.ac")[2]
    assert not list(Path().glob("*000002*"))


def test_it_says_in_words_which_device(run: Command) -> None:
    write("billing.ac")
    status, said, _ = run("inspect", "billing.ac")
    assert status == 0
    assert said.splitlines() == [
        "billing.ac: source file of a CooVox U50",
        "  software: coovox-billing 0.1.0",
        "  made: 2026-11-30 12:00:00 UTC, by the device's clock",
        "  first activation: 2026-11-11 12:00:00 UTC",
        "  hardware identifiers: 3: 1 serial number of the board, 2 network cards",
        f"  request: {cast.source().request}",
        "  checksum: right",
    ]


def test_it_says_what_each_file_of_a_folder_is(run: Command, acme: Path, tmp_path: Path) -> None:
    write("Hotel Sonne.ac")
    run("issue", "Hotel Sonne.ac")
    (tmp_path / "bad\x1b[31m.ac").write_text("File: CooVox Billing source\n")
    status, said, complaint = run("inspect", tmp_path, acme)
    assert status == 3
    assert re.findall(r"^\S.*?: (\w[^:]*)$", said, re.MULTILINE) == [
        "source file of a CooVox U50",
        "license 1-000001 for a CooVox U50",
        "distributor's certificate",
        "public key of a distributor",
    ]
    assert complaint.count("\n") == 1 and "\x1b" not in complaint and "damaged on its way" in complaint


def test_it_verifies_as_a_device_does(run: Command, acme: Path, root_pub: Path, tmp_path: Path) -> None:
    write("Hotel Sonne.ac")
    write("repaired.ac", cast.SONNE_REPAIRED)
    write("Hotel Mond.ac", cast.MOND)
    run("issue", "Hotel Sonne.ac")
    arguments = ("verify", "coovox-billing-1-000001.license", "--root", root_pub)
    assert "is genuine" in run(*arguments)[1]
    assert "3 of 3 identifiers match" in run(*arguments, "--source", "Hotel Sonne.ac")[1]
    assert "2 of 3 identifiers match" in run(*arguments, "--source", "repaired.ac")[1]
    status, said, complaint = run(*arguments, "--source", "Hotel Mond.ac")
    assert (status, said, "0 of the 3" in complaint) == (1, "", True)
    assert "has revoked certificate 1" in run(*arguments, "--revoked", "1")[2]
    vectors = Path(tool.__file__).parents[1] / "vectors"
    late = run("verify", vectors / "issued-too-late.license", "--root", vectors / "root.pub")
    assert (late[0], "issued on 2028-01-01" in late[2]) == (1, True)
    keys.make(tmp_path / "other", "root", "CooVox", PASSPHRASE)
    assert "no distributor that CooVox has certified" in run(*arguments[:3], tmp_path / "other/root.pub")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("issue",),
        ("keygen",),
        ("keygen", "--root", "--name", "Acme"),
        ("verify", "x"),
        ("issue", "x.ac", "--replaces", "1", "--new-device", "--reason", "x"),
    ],
)
def test_it_tells_a_wrong_command(run: Command, arguments: tuple[str, ...]) -> None:
    status, _, complaint = run(*arguments)
    assert (status, complaint.startswith("usage: coovox-license")) == (2, True)


def test_its_readme_documents_every_command_and_option() -> None:
    text = (Path(tool.__file__).parents[1] / "README.md").read_text()
    commands = next(action for action in build_parser()._actions if action.choices).choices
    options = [action.option_strings for command in commands.values() for action in command._actions]
    names = {*commands, *(option for some in options for option in some if option.startswith("--"))} - {"--help"}
    assert [name for name in sorted(names) if f"`{name}" not in text and f" {name}" not in text] == []
