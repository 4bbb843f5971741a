"""What the first argument of a scoring function says: which model, which version, and settings of the call.

    sha256:<64 hexadecimal digits>[?threshold=0.3]
    [[database.]schema.]name[@version | @alias][?class=yes]

Names may be double-quoted; settings are percent-encoded and joined with ``&``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from udfs.errors import InputMismatchError, ModelReferenceError

SETTINGS = ("threshold", "class", "class_index")
_SUFFIX = re.compile(rf'((?:(?>"(?:[^"]|"")*")|[^"])*?)\?(?=(?:{"|".join(SETTINGS)})=)')  # not between quotes
_PART = re.compile(r'"((?:[^"]|"")*)"|([^."@]+)')
_HASH = re.compile(r"sha256:([0-9a-f]{64})")

# The hash of every version of a model by its number, of every alias by its name, of the default version by None.
Versions = Mapping[int | str | None, str]
Names = Mapping[tuple[str, str], Versions]


@dataclass(frozen=True)
class Reference:
    """A parsed first argument: a hash, or the parts of a name with a version."""

    text: str
    hash: str | None = None
    parts: tuple[str, ...] = ()
    version: int | str | None = None
    settings: dict[str, str] = field(default_factory=dict)


def parse_reference(text: str) -> Reference:
    """Read a model reference; raises ModelReferenceError."""
    name, _, suffix = _split(text)
    settings = dict(_setting(part) for part in suffix.split("&")) if suffix else {}
    match = _HASH.fullmatch(name)
    if match:
        return Reference(name, hash=match[1], settings=settings)
    parts, end = _parts(name)
    version: int | str | None = None
    if end < len(name):
        version = name[end + 1 :]
        if version.startswith('"') and version.endswith('"'):
            version = version[1:-1].replace('""', '"')
        elif version.isdecimal():
            version = int(version)
    if not parts or len(parts) > 3 or version == "":
        raise ModelReferenceError(
            f'invalid model name "{name}"',
            hint="Write name, schema.name or database.schema.name, and @version or @alias.",
        )
    return Reference(name, parts=tuple(parts), version=version, settings=settings)


def _split(text: str) -> tuple[str, str, str]:
    match = _SUFFIX.match(text)
    return (match[1], "?", text[match.end() :]) if match else (text, "", "")


def _setting(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    if key not in SETTINGS:
        raise InputMismatchError(
            f'unknown setting "{key}" of a model reference', hint=f"Use one of {', '.join(SETTINGS)}."
        )
    return key, unquote(value)


def _parts(name: str) -> tuple[list[str], int]:
    """The dotted parts of a name and where they end: at the text's end or at an @."""
    parts: list[str] = []
    at = 0
    while True:
        match = _PART.match(name, at)
        if match is None:
            return [], at
        parts.append(match[1].replace('""', '"') if match[1] is not None else match[2].strip())
        at = match.end()
        if at == len(name) or name[at] == "@":
            return parts, at
        if name[at] != ".":
            return [], at
        at += 1


def find_hash(reference: Reference, databases: Mapping[str, Names]) -> str:
    """The hash a name stands for among the published names; raises ModelReferenceError with the nearest name."""
    versions = _find_versions(reference, databases)
    found = versions.get(reference.version)
    if found is None and isinstance(reference.version, str):
        folded = [v for k, v in versions.items() if isinstance(k, str) and k.casefold() == reference.version.casefold()]
        found = folded[0] if len(folded) == 1 else None
    if found is not None:
        return found
    if reference.version is None:
        raise ModelReferenceError(
            f'model "{reference.text}" has no default version',
            hint="Name a version, as in model@1, or set a default version.",
        )
    if isinstance(reference.version, int):
        kind, known = f"version {reference.version}", [str(key) for key in versions if isinstance(key, int)]
    else:
        kind, known = f'alias "{reference.version}"', [key for key in versions if isinstance(key, str)]
    raise ModelReferenceError(
        f'model "{".".join(reference.parts)}" has no {kind}',
        hint=f"It has {', '.join(known)}." if known else "It has no aliases.",
    )


def _find_versions(reference: Reference, databases: Mapping[str, Names]) -> Versions:
    candidates = list(_candidates(reference.parts, databases))
    for fold in (False, True):
        for wanted, exists in candidates:
            matches = [versions for key, versions in exists if _same(key, wanted, fold=fold)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise ModelReferenceError(
                    f'model name "{reference.text}" is ambiguous',
                    hint="Write it exactly, with its schema and database.",
                )
    raise _unknown(reference, databases)


Key = tuple[str, str, str]


def _candidates(
    parts: tuple[str, ...], databases: Mapping[str, Names]
) -> Iterable[tuple[tuple[str | None, ...], list[tuple[Key, Versions]]]]:
    """What a name may mean, best first, each with the models to compare: the first database is the one that was opened."""
    everything = [((d, *key), v) for d, names in databases.items() for key, v in names.items()]
    first = next(iter(databases), None)
    own = [(key, versions) for key, versions in everything if key[0] == first]
    if len(parts) == 3:
        yield parts, everything
        if parts[0].casefold() not in {database.casefold() for database in databases}:
            # A stored text names the database it was written in: its file was renamed, or attached under another name.
            yield (None, *parts[1:]), everything
    elif len(parts) == 2:
        yield (None, *parts), own
        yield (parts[0], "main", parts[1]), everything
        yield (None, *parts), everything
    else:
        yield (None, "main", parts[0]), own
        yield (None, None, parts[0]), own
        yield (None, None, parts[0]), everything


def _same(key: Key, wanted: tuple[str | None, ...], *, fold: bool) -> bool:
    if fold:
        return all(w is None or w.casefold() == k.casefold() for k, w in zip(key, wanted, strict=True))
    return all(w is None or w == k for k, w in zip(key, wanted, strict=True))


def _unknown(reference: Reference, databases: Mapping[str, Names]) -> ModelReferenceError:
    known = {name for names in databases.values() for _, name in names}
    near = difflib.get_close_matches(reference.parts[-1], known, n=1)
    hint = f'Did you mean "{near[0]}"?' if near else None
    return ModelReferenceError(f'model "{reference.text}" does not exist', hint=hint)
