"""`batchroute` as it would be if it left it to the system when the disk is written: what durability costs."""

import functools
import os
import sqlite3
from typing import Any


class Unsynced(sqlite3.Connection):
    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous = normal", "synchronous = off"), *parameters)


def main() -> None:
    os.fsync = os.fdatasync = lambda fd: None
    sqlite3.connect = functools.partial(sqlite3.connect, factory=Unsynced)  # type: ignore[assignment]

    from batchroute.cli.main import main as batchroute

    batchroute()


if __name__ == "__main__":
    main()
