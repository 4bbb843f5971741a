"""The body of a PL/pgSQL function while it is written: variables to declare and statements, in order."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Scope:
    """Variables are assigned once, so that an expression's text may name them as often as it likes."""

    declarations: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    def declare(self, sql_type: str) -> str:
        """A new variable, NULL until it is assigned."""
        name = f"v{len(self.declarations)}"
        self.declarations.append(f"{name} {sql_type};")
        return name

    def let(self, sql_type: str, expression: str) -> str:
        """A new variable that holds the value of an expression."""
        name = self.declare(sql_type)
        self.statements.append(f"{name} := {expression};")
        return name

    def emit(self, statement: str) -> None:
        """A statement of any other kind."""
        self.statements.append(statement)
