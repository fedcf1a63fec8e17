"""One bucket of object storage that speaks S3: the only door to boto3, which nothing imports that does not use it.

Errors say what is wrong by its code alone: what a server writes about it may hold credentials.
"""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from os import SEEK_END
from typing import Any, BinaryIO, Final

import tenacity
from msgspec import Struct

from batchroute.core.errors import JobError
from batchroute.job.storage import SCHEME, StorageOptions, revealed

CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 30.0
TRIES: Final = 4
_AMAZON: Final = ".amazonaws.com"

# Codes of errors (Amazon S3 API reference, "Error responses", 2026-11); HEAD answers have the status alone.
_DENIED: Final = frozenset({
    *("401", "403", "AccessDenied", "AllAccessDisabled", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken"),
    *("RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired", "UnauthorizedAccess"),
})  # fmt: skip
_CHANGED: Final = frozenset({"412", "416", "InvalidRange", "PreconditionFailed"})
_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})


class Trouble(StrEnum):
    """What is wrong with a storage, or with an object in it."""

    DENIED = "denied"
    NO_BUCKET = "no_bucket"
    MISSING = "missing"
    CHANGED = "changed"
    UNREACHABLE = "unreachable"


class StorageError(Exception):
    """The storage did not do what it was asked; `trouble` tells which remedy there is. Never holds a credential."""

    def __init__(self, url: str, trouble: Trouble, why: str) -> None:
        super().__init__(f"{url}: {_SAID[trouble]} ({why}). {_REMEDY[trouble]}")
        self.trouble = trouble


_SAID: Final = {
    Trouble.DENIED: "access is refused",
    Trouble.NO_BUCKET: "there is no such bucket",
    Trouble.MISSING: "there is no such object",
    Trouble.CHANGED: "the object was changed or removed meanwhile",
    Trouble.UNREACHABLE: "the storage does not answer as it should",
}
_REMEDY: Final = {
    Trouble.DENIED: "Check the credentials in storage_options or in the environment, and what they allow",
    Trouble.NO_BUCKET: "Make it, or check its name and aws_endpoint_url",
    Trouble.MISSING: "Check its name",
    Trouble.CHANGED: "Run again",
    Trouble.UNREACHABLE: "Check aws_endpoint_url and the network, then run again",
}


class Stored(Struct, frozen=True):
    """An object as a listing shows it. Key and ETag together are its identity; `size` is in bytes.

    `modified`, in seconds since the epoch, is when it was stored last.
    """

    key: str
    size: int
    etag: str
    modified: float


class Head(Struct, frozen=True):
    """What is told of one object: its size in bytes, and what was written beside it."""

    size: int
    notes: Mapping[str, str]


class Bucket:
    """Reads and writes the objects of one bucket; from any number of threads. Every method may raise StorageError."""

    def __init__(self, name: str, options: StorageOptions) -> None:
        """Raises JobError where boto3 is not installed. Nothing is asked of the storage yet."""
        self.name = name
        self._options = options
        with self._told(""):
            self._session, self._client = _connected(options)

    def __repr__(self) -> str:
        return f"Bucket({self.name!r})"

    def url(self, key: str) -> str:
        """How an object is called in a job file and in messages."""
        return f"{SCHEME}{self.name}/{key}"

    def listed(self, prefix: str) -> Iterator[Stored]:
        """The objects whose key begins so, in the order of their keys."""
        with self._told(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            for page in pages:
                for found in page.get("Contents", ()):
                    yield Stored(
                        found["Key"], found["Size"], found["ETag"], found["LastModified"].timestamp()
                    )

    def read(self, stored: Stored, start: int, length: int) -> bytes:
        """So many bytes of the object as it was listed: CHANGED where it is another one by now."""
        if not length:
            return b""
        try:
            with self._told(stored.key):
                content: bytes = _again()(self._range, stored, start, length)
        except StorageError as error:
            if error.trouble is Trouble.MISSING:
                raise StorageError(self.url(stored.key), Trouble.CHANGED, "it is gone") from None
            raise
        if len(content) != length:
            raise StorageError(self.url(stored.key), Trouble.CHANGED, "its size is another")
        return content

    def head(self, key: str) -> Head | None:
        """What is told of an object; None where there is none."""
        try:
            with self._told(key):
                found = self._client.head_object(Bucket=self.name, Key=key)
        except StorageError as error:
            if error.trouble is Trouble.MISSING:
                return None
            raise
        return Head(found["ContentLength"], found["Metadata"])

    def holds(self, stored: Stored) -> bool:
        """Whether the object is still the one that was listed."""
        try:
            with self._told(stored.key):
                self._client.head_object(Bucket=self.name, Key=stored.key, IfMatch=stored.etag)
        except StorageError as error:
            if error.trouble in {Trouble.MISSING, Trouble.CHANGED}:
                return False
            raise
        return True

    def put(self, key: str, body: BinaryIO, sha256: str, notes: Mapping[str, str]) -> None:
        """Write at most 5 GB as one object: all of it or nothing, and refused where it has another SHA-256.

        Raises OSError where the body cannot be read.
        """
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with self._told(key):
            answer = self._client.put_object(
                Bucket=self.name, Key=key, Body=body, ChecksumSHA256=checksum, Metadata=dict(notes)
            )
        size, written = body.seek(0, SEEK_END), self.head(key)
        if answer.get("ChecksumSHA256", checksum) != checksum or written is None or written.size != size:
            raise StorageError(self.url(key), Trouble.CHANGED, "it is not what was written")

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self._told(key):
            self._client.delete_object(Bucket=self.name, Key=key)

    def polars_options(self) -> dict[str, str]:
        """`storage_options` with which polars reaches the same objects as the same caller, for now."""
        given = {"aws_region": self._region()}
        with self._told(""):
            found = self._session.get_credentials()
            credentials = found.get_frozen_credentials() if found is not None else None
        if credentials is not None:
            given["aws_access_key_id"] = credentials.access_key
            given["aws_secret_access_key"] = credentials.secret_key
            given |= {"aws_session_token": credentials.token} if credentials.token else {}
        endpoint = str(self._client.meta.endpoint_url)
        if not _is_amazon(endpoint):
            given |= {"aws_endpoint_url": endpoint, "aws_allow_http": "true"}
        return given

    def _region(self) -> str:
        if self._options.aws_region is not None:
            return self._options.aws_region
        with self._told(""):
            found = self._client.head_bucket(Bucket=self.name).get("BucketRegion")
        return str(found or self._client.meta.region_name or "us-east-1")

    def _range(self, stored: Stored, start: int, length: int) -> bytes:
        answer = self._client.get_object(
            Bucket=self.name,
            Key=stored.key,
            Range=f"bytes={start}-{start + length - 1}",
            IfMatch=stored.etag,
        )
        return bytes(answer["Body"].read())

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """What boto3 raises in here is raised as StorageError."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see the module's docstring

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "no code"))
            raise StorageError(self.url(key), _trouble(code), code) from None
        except BotoCoreError as error:
            kind = type(error).__name__
            denied = "Credential" in kind or kind in {
                "TokenRetrievalError",
                "ProfileNotFound",
                "SSOTokenLoadError",
            }
            trouble = Trouble.DENIED if denied else Trouble.UNREACHABLE
            raise StorageError(self.url(key), trouble, kind) from None


def _trouble(code: str) -> Trouble:
    if code == "NoSuchBucket":
        return Trouble.NO_BUCKET
    for trouble, codes in (
        (Trouble.DENIED, _DENIED), (Trouble.CHANGED, _CHANGED), (Trouble.MISSING, _MISSING)
    ):  # fmt: skip
        if code in codes:
            return trouble
    return Trouble.UNREACHABLE


def _connected(options: StorageOptions) -> tuple[Any, Any]:
    """A session with the given credentials, else with those of the usual chain, and its client."""
    try:
        import boto3  # noqa: PLC0415 - see the module's docstring
    except ImportError:
        raise JobError(
            "object storage needs boto3, which is not installed. Run: pip install 'batchroute[s3]' [storage_extra]"
        ) from None
    session = boto3.session.Session(
        aws_access_key_id=revealed(options.aws_access_key_id),
        aws_secret_access_key=revealed(options.aws_secret_access_key),
        aws_session_token=revealed(options.aws_session_token),
        region_name=options.aws_region,
    )
    client = _client(session, options, "auto")
    if not _is_amazon(str(client.meta.endpoint_url)):  # given here, or by AWS_ENDPOINT_URL
        client = _client(session, options, "path")  # servers of one's own seldom have a name for each bucket
    return session, client


def _client(session: Any, options: StorageOptions, addressing: str) -> Any:
    from botocore.config import Config  # noqa: PLC0415 - see the module's docstring

    config = Config(
        retries={"mode": "standard", "total_max_attempts": TRIES},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        s3={"addressing_style": addressing},
        # Checksums that nobody asked for are refused by older servers than Amazon's.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.client("s3", endpoint_url=options.aws_endpoint_url, config=config)


def _again() -> tenacity.Retrying:
    """The SDK tries requests again, but not the reading of an answer's body that breaks off."""
    from botocore.exceptions import (  # noqa: PLC0415 - see the module's docstring
        HTTPClientError,
        IncompleteReadError,
    )

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((HTTPClientError, IncompleteReadError)),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_random_exponential(max=5),
        reraise=True,
    )


def _is_amazon(endpoint: str) -> bool:
    return _AMAZON in endpoint
