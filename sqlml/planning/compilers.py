"""Compilers of portable expressions by dialect."""

from __future__ import annotations

from sqlml.planning.expressions import Compiler
from sqlml.planning.postgres.expressions import PostgresCompiler

COMPILERS: dict[str, type[Compiler]] = {"duckdb": Compiler, "postgres": PostgresCompiler}
