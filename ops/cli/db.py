"""`jeongsi db`: the schema."""

from __future__ import annotations

from ops.cli.options import example, group
from ops.cli.output import say

app = group("Set the database up, or say what it holds.")


@app.command(epilog=example("jeongsi db upgrade"))
def upgrade() -> None:
    """Bring the database to this version: tables, functions, partitions.

    Safe at any time and from several machines at once. Deploying: upgrade first, then workers, then beats.
    """
    from models.migrate import upgrade as migrate
    from runtime.settings import get_settings

    done = migrate(get_settings().needed_database_url())
    say("\n".join(done) if done else "The database is up to date.")


@app.command(epilog=example("jeongsi db current"))
def current() -> None:
    """Say which version of the tables and functions the database holds; exit 1 if it needs an upgrade."""
    import psycopg
    from sqlalchemy import create_engine

    from models import migrate
    from ops.cli.errors import CliError
    from runtime.settings import get_settings

    url = get_settings().needed_database_url()
    engine = create_engine(migrate.sqlalchemy_url(url), connect_args={"connect_timeout": 3})
    with engine.connect() as connection:
        say(f"tables: {migrate.current(connection) or 'none'}")
    engine.dispose()
    with psycopg.connect(url, connect_timeout=3) as plain:
        try:
            migrate.check(plain)
        except migrate.MigrationNeeded as needed:
            raise CliError(f"{str(needed)[:1].upper()}{str(needed)[1:]}.") from None
    say("functions: this version's")
