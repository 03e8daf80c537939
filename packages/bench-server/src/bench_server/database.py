"""The database's tables: made and changed under a lock, after a backup."""

import datetime
import sqlite3
from pathlib import Path
from typing import Any

from bench_server.data_folder import DataFolder
from bench_server.errors import DatabaseError


def migrate(folder: DataFolder) -> None:
    """Bring the tables to this release. Django must be set up; the caller holds the server's lock.

    Raises:
        DatabaseError: The database cannot be reached, or a newer release has changed it.
    """
    from django.core.management import call_command
    from django.db import DatabaseError as DjangoDatabaseError
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        applied, known = set(executor.loader.applied_migrations), set(executor.loader.disk_migrations)
        if newer := sorted(applied - known):
            raise DatabaseError(
                f"the database was changed by a newer release ({'.'.join(newer[0])})",
                hint="Update bench-server, or restore the backup made before that update.",
            )
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return
        if applied and connection.vendor == "sqlite":
            _back_up(folder)
        call_command("migrate", interactive=False, verbosity=0)
    except DjangoDatabaseError as error:
        raise DatabaseError(
            f"the database cannot be used: {str(error).strip()}",
            hint="Does BENCH_DATABASE_URL name the right one?",
        ) from error


def keep_connections(*, threads_are_few: bool = False) -> None:
    """Have each thread of this process keep its connection; Django must be set up.

    To open one to SQLite and set it up takes 0.6 ms, longer than all else in a small call. PostgreSQL allows
    a hundred in all: a process that may have more threads opens one for each call there.

    Args:
        threads_are_few: Keep those to PostgreSQL too; one that broke is opened anew.
    """
    from django.db import connections

    if threads_are_few or connections["default"].vendor == "sqlite":
        connections.databases["default"].update(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=threads_are_few)


def _back_up(folder: DataFolder) -> Path:
    folder.backups.mkdir(exist_ok=True, mode=0o700)
    now = datetime.datetime.now(datetime.timezone.utc)
    target = folder.backups / f"before-migration-{now:%Y%m%dT%H%M%S}.sqlite3"
    copy_sqlite(folder.database, target)
    return target


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that may be in use; the copy is whole or absent."""
    temporary = target.with_suffix(".tmp")
    connections: list[Any] = [sqlite3.connect(source), sqlite3.connect(temporary)]
    try:
        connections[0].backup(connections[1])
    finally:
        for connection in connections:
            connection.close()
    temporary.replace(target)
