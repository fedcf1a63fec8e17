"""Object storage in a job file: where it is, and who asks."""

import re
from typing import Annotated, Final, Self, TypeAlias

from pydantic import AfterValidator, Field, SecretStr, model_validator

from batchroute.job.addresses import ApiKey, BaseUrl
from batchroute.job.spec import Spec, Text

SCHEME: Final = "s3://"
SECRET_OPTIONS: Final = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})
_BUCKET: Final = re.compile(
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
)  # Amazon S3 user guide, bucket names, 2026-11


class StorageOptions(Spec):
    """How to reach object storage that speaks S3. The names are those that polars and its relatives use."""

    aws_access_key_id: ApiKey | None = Field(
        default=None, description='From the environment, "${NAME}". Default: the usual chain of AWS.'
    )
    aws_secret_access_key: ApiKey | None = Field(
        default=None, description="The secret of that key, from the environment."
    )
    aws_session_token: ApiKey | None = Field(
        default=None, description="The token of temporary credentials, from the environment."
    )
    aws_region: Text | None = Field(default=None, description="Such as eu-central-1.")
    aws_endpoint_url: BaseUrl | None = Field(
        default=None, description="The root of another server than Amazon's, such as http://127.0.0.1:9000."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError(
                "needs both aws_access_key_id and aws_secret_access_key. Add the other, or leave both out"
            )
        if self.aws_session_token is not None and self.aws_access_key_id is None:
            raise ValueError(
                "has aws_session_token without the key that it belongs to. Add aws_access_key_id"
            )
        return self

    def secrets(self) -> tuple[str, ...]:
        """The credentials as text."""
        given = (self.aws_access_key_id, self.aws_secret_access_key, self.aws_session_token)
        return tuple(text for secret in given if (text := revealed(secret)) is not None)


def revealed(secret: SecretStr | None) -> str | None:
    """The text of a secret that may be missing."""
    return None if secret is None else secret.get_secret_value()


def object_url(url: str) -> str:
    """Accept `s3://bucket[/key]`. Raises ValueError."""
    bucket, key = parts_of(url)
    if not url.startswith(SCHEME) or not _BUCKET.fullmatch(bucket):
        raise ValueError("must name a bucket. Write s3://bucket/prefix")
    if not key.isprintable() or "//" in f"/{key}" or {".", ".."} & set(key.split("/")):
        raise ValueError("has a key with an empty or unprintable part. Write s3://bucket/prefix")
    return url


def parts_of(url: str) -> tuple[str, str]:
    """The bucket and the key of `s3://bucket/key`."""
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    return bucket, key


ObjectUrl: TypeAlias = Annotated[str, AfterValidator(object_url)]
