"""`sqlml install` and `sqlml uninstall`: arguments in, a server with sqlml inside of it, or without."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sqlml.install.installation import install, install_library, uninstall

_INSTALL = """\
scorers:
  native    machine code in the server: the fastest; needs x86-64 and a known server version
  plpython  PL/Python in batches; needs a Python of the server's with the packages
  sql       PL/pgSQL; needs nothing

Without --scorer the fastest one that the server can have is taken.
"""


def run_install(words: Sequence[str]) -> int:
    """``sqlml install DSN``."""
    parser = argparse.ArgumentParser(
        "sqlml install",
        description="Put sqlml into a Postgres server, or upgrade it in place; needs a superuser.",
        epilog=_INSTALL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dsn", metavar="DSN", help="such as postgresql://postgres@localhost/mydb")
    parser.add_argument("--scorer", choices=("native", "plpython", "sql"), help="how models are scored in SQL")
    parser.add_argument("--python", metavar="PATH", help="an interpreter, or a folder of packages, for PL/Python")
    parser.add_argument("--dry-run", action="store_true", help="print all that would be run, and change nothing")
    parser.add_argument(
        "--library-only",
        action="store_true",
        help="write the native scorer's library file, and nothing else: on a standby, or before a dump is restored",
    )
    arguments = parser.parse_args(words)
    if arguments.library_only:
        install_library(arguments.dsn, dry_run=arguments.dry_run)
        return 0
    install(arguments.dsn, arguments.scorer, python=arguments.python, dry_run=arguments.dry_run)
    return 0


def run_uninstall(words: Sequence[str]) -> int:
    """``sqlml uninstall DSN``."""
    parser = argparse.ArgumentParser(
        "sqlml uninstall", description="Take sqlml out of a Postgres database; the models stay unless asked otherwise."
    )
    parser.add_argument("dsn", metavar="DSN", help="such as postgresql://postgres@localhost/mydb")
    parser.add_argument("--drop-models", action="store_true", help="drop the catalog with all models, too")
    parser.add_argument("--cascade", action="store_true", help="drop views and triggers that use the functions, too")
    parser.add_argument("--dry-run", action="store_true", help="print all that would be run, and change nothing")
    arguments = parser.parse_args(words)
    uninstall(arguments.dsn, drop_models=arguments.drop_models, cascade=arguments.cascade, dry_run=arguments.dry_run)
    return 0
