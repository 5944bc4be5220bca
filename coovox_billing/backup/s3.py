"""Backups in a bucket of S3-compatible storage. What is sent in parts is there once all of them are."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

from coovox_billing.backup.places import PlaceTrouble, Write
from coovox_billing.core.backup_plan import Address
from coovox_billing.services.backups import Stored

CONNECT_SECONDS, SILENT_SECONDS = 15, 60
ATTEMPTS = 3
# The least that S3 takes for a part but the last; so much is held in memory.
PART_BYTES = 5 * 1024 * 1024

_SOME_BYTES = 256 * 1024


class Bucket:
    """A bucket, below a prefix."""

    def __init__(self, address: Address, secrets: Mapping[str, str], region: str) -> None:
        if not secrets.get("s3-key-id") or not secrets.get("s3-secret"):
            raise PlaceTrouble(
                "the storage at %(host)s wants a key: store its id and its secret",
                hint="coovox-billing backups secret s3-key-id, then coovox-billing backups secret s3-secret",
                host=address.host,
            )
        self._address = address
        self._client = _client(address, secrets, region)
        self._prefix = f"{address.folder}/" if address.folder else ""

    def keep(self, name: str, write: Write) -> int:
        """Keep what `write` writes: at once where it is little, else in parts."""
        with self._trying():
            sending = _Sending(self._client, self._address.bucket, self._prefix + name)
            try:
                write(cast(BinaryIO, sending))
                sending.finish()
            except BaseException:
                sending.give_up()
                raise
            found = self._client.head_object(Bucket=self._address.bucket, Key=self._prefix + name)
            if found["ContentLength"] != sending.size:
                raise PlaceTrouble("the storage at %(host)s did not take all of it", host=self._address.host)
        return sending.size

    def stored(self) -> list[Stored]:
        """What is below the prefix."""
        with self._trying():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._address.bucket, Prefix=self._prefix
            )
            found = [
                (one["Key"].removeprefix(self._prefix), one["Size"])
                for page in pages
                for one in page.get("Contents", ())
            ]
        return [Stored(name, size) for name, size in found if "/" not in name]

    def remove(self, name: str) -> None:
        """Remove one."""
        with self._trying():
            self._client.delete_object(Bucket=self._address.bucket, Key=self._prefix + name)

    def fetch(self, name: str, out: BinaryIO) -> None:
        """Copy one from there."""
        with self._trying():
            body = self._client.get_object(Bucket=self._address.bucket, Key=self._prefix + name)["Body"]
            for piece in body.iter_chunks(_SOME_BYTES):
                out.write(piece)

    @contextmanager
    def _trying(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            told = error.response.get("Error", {})
            raise PlaceTrouble(
                "the storage at %(host)s refuses: %(code)s, %(reason)s. See the key, and that the bucket %(bucket)s is "
                "there, can be written and has room",
                host=self._address.host,
                code=told.get("Code", ""),
                reason=told.get("Message", ""),
                bucket=self._address.bucket,
            ) from None
        except (BotoCoreError, OSError) as error:
            raise PlaceTrouble(
                "the storage at %(host)s cannot be used: %(reason)s", host=self._address.host, reason=str(error)[:200]
            ) from None


def _client(address: Address, secrets: Mapping[str, str], region: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise PlaceTrouble("S3 needs the library boto3: install python3-boto3, or coovox-billing[offsite]") from None
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": SILENT_SECONDS,
        "retries": {"max_attempts": ATTEMPTS},
        "s3": {"addressing_style": "path"},
        "signature_version": "s3v4",
    }
    # Newer ones add checksums that not every storage knows.
    for name in ("request_checksum_calculation", "response_checksum_validation"):
        if name in Config.OPTION_DEFAULTS:
            options[name] = "when_required"
    scheme, host = "http" if address.is_plain else "https", address.host
    return boto3.session.Session().client(
        "s3",
        endpoint_url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{address.port}",
        region_name=region,
        aws_access_key_id=secrets["s3-key-id"],
        aws_secret_access_key=secrets["s3-secret"],
        config=Config(**options),
    )


class _Sending:
    """An object on its way, in parts as they fill up."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self.size = 0
        self._client = client
        self._of = {"Bucket": bucket, "Key": key}
        self._waiting = bytearray()
        self._upload = ""
        self._parts: list[dict[str, Any]] = []

    def write(self, data: bytes) -> int:
        """Take bytes, and send a part once there are enough of them."""
        self._waiting += data
        self.size += len(data)
        while len(self._waiting) >= PART_BYTES:
            self._send(bytes(self._waiting[:PART_BYTES]))
            del self._waiting[:PART_BYTES]
        return len(data)

    def flush(self) -> None:
        """A part is sent when it is full."""

    def finish(self) -> None:
        """Send the rest; from then on the object is there."""
        rest = bytes(self._waiting)
        if not self._upload:
            self._client.put_object(**self._of, Body=io.BytesIO(rest), ContentLength=len(rest))
            return
        if rest:
            self._send(rest)
        self._client.complete_multipart_upload(
            **self._of, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
        )

    def give_up(self) -> None:
        """What was sent costs no room any more, if the server can still be told."""
        if self._upload:
            with suppress(Exception):
                self._client.abort_multipart_upload(**self._of, UploadId=self._upload)

    def _send(self, part: bytes) -> None:
        if not self._upload:
            self._upload = self._client.create_multipart_upload(**self._of)["UploadId"]
        number = len(self._parts) + 1
        sent = self._client.upload_part(**self._of, UploadId=self._upload, PartNumber=number, Body=io.BytesIO(part))
        self._parts.append({"ETag": sent["ETag"], "PartNumber": number})
