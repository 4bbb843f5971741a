"""What the tests of the language share: which models exist, the golden files, and a call as one line of text."""

import os
from pathlib import Path

import pytest

from sqlml.language.statements import ScalarCall

HERE = Path(__file__).parent
MODELS = {"late", "m", "n", "select", "my model", "taux d'été"}


@pytest.fixture(scope="session")
def is_model():
    return lambda parts: parts[-1].casefold() in MODELS


@pytest.fixture(scope="session")
def corpus():
    """Every statement of corpus/duckdb.sql as (text, must_fail)."""
    blocks = (HERE / "corpus" / "duckdb.sql").read_text().strip().split("\n\n")[1:]
    return [(block, block.startswith("-- error")) for block in blocks]


@pytest.fixture(scope="session")
def rewrites():
    """The statements of rewrites.sql."""
    _, *blocks = (HERE / "rewrites.sql").read_text().strip().split("\n\n")
    return [block.split("\n-->\n")[0] for block in blocks]


@pytest.fixture(scope="session")
def check_golden():
    """Compare ``{input: output}`` of a file of pairs; SQLML_UPDATE_GOLDEN=1 writes the file anew."""

    def check(name, produce):
        path = HERE / name
        head, *blocks = path.read_text().strip().split("\n\n")
        pairs = [block.split("\n-->\n") for block in blocks]
        produced = [f"{pair[0]}\n-->\n{produce(pair[0])}" for pair in pairs]
        if os.environ.get("SQLML_UPDATE_GOLDEN"):
            path.write_text("\n\n".join([head, *produced]) + "\n")
            return
        for pair, found in zip(pairs, produced, strict=True):
            assert found == "\n-->\n".join(pair)
        assert len(pairs) > 10

    return check


@pytest.fixture(scope="session")
def describe():
    """A call as one line: function, model, arguments, and the scope it sees."""

    def scope_text(scope, text):
        words = []
        if scope.source:
            words.append("from " + scope.source.of(text))
        aliases = [item.alias or "?" for item in scope.items]
        if aliases:
            words.append(("seen " if scope.source else "over ") + " ".join(aliases))
        if scope.ctes:
            words.append("with " + " ".join(span.of(text).split()[0] for span in scope.ctes))
        if scope.anchors:
            words.append("anchors " + ", ".join(span.of(text) for span in scope.anchors))
        words += ["recursive"] * scope.recursive
        if scope.outer:
            words.append(f"outer ({scope_text(scope.outer, text)})")
        return " ".join(words) or "nothing"

    def model_text(model):
        if model is None:
            return "-"
        version = f"@{model.version}" if model.version else f"@{model.alias}" if model.alias else ""
        return ".".join(model.parts) + version

    def argument_text(argument, text):
        if argument.star:
            star = f"{argument.qualifier}.*" if argument.qualifier else "*"
            return star + (f" without {' '.join(argument.excluded)}" if argument.excluded else "")
        return argument.span.of(text) + (f" as {argument.alias}" if argument.alias else "")

    def one(call, text):
        if isinstance(call, ScalarCall):
            inner = [argument_text(argument, text) for argument in call.arguments]
            marks = " item" if call.select_item else ""
            if call.unnamed_item and not call.select_item:
                marks += f" in item [{call.unnamed_item.of(text)}]"
            if call.class_label:
                inner.insert(0, f"class {call.class_label.of(text)}")
        else:
            inner = [("table " if is_table else "query ") + span.of(text) for span, is_table in call.inputs]
            inner += [f"{option.key}={option.value!r}" for option in call.settings]
            marks = ""
        return f"«{call.function} {model_text(call.model)}({'; '.join(inner)}){marks} | {scope_text(call.scope, text)}»"

    return one
