"""Golden files: statements that stay as they are, what is found in those that do not, and the words of every syntax error."""

import pytest

from sqlml.errors import SqlmlError
from sqlml.language.errors import render
from sqlml.language.parser import parse
from sqlml.language.splice import splice
from sqlml.language.statements import EngineStatement


def _outermost(calls):
    kept = []
    for call in calls:
        if not kept or call.span.start >= kept[-1].span.end:
            kept.append(call)
    return kept


def test_rewrites(check_golden, describe, is_model):
    """Each call replaced by its description; nested ones are listed after the statement."""

    def produce(text):
        calls = [call for statement in parse(text, "duckdb", is_model) for call in statement.calls]
        shown = _outermost(calls)
        spliced, _ = splice(text, [(call.span, describe(call, text)) for call in shown])
        return "\n".join([spliced, *("  inside: " + describe(call, text) for call in calls if call not in shown)])

    check_golden("rewrites.sql", produce)


def test_errors(check_golden, is_model):
    def produce(text):
        with pytest.raises(SqlmlError) as caught:
            parse(text, "duckdb", is_model)
        assert caught.value.position is not None
        assert 0 <= caught.value.position <= len(text)
        assert caught.value.text == text
        return render(caught.value)

    check_golden("errors.sql", produce)


def test_identity(check_golden, is_model):
    """Near misses: they hold our words, and are the engine's."""

    def produce(text):
        statements = parse(text, "duckdb", is_model)
        assert all(isinstance(statement, EngineStatement) and not statement.calls for statement in statements)
        rejected = [".".join(name.parts) for statement in statements for name in statement.rejected]
        return "untouched" + (f", unless there were a model {', '.join(rejected)}" if rejected else "")

    check_golden("identity.sql", produce)
