"""The root of the error tree and the errors that can be raised inside a database process."""

from __future__ import annotations


class SqlmlError(Exception):
    """Any error of sqlml, worded as Postgres words its own: lower case, one line, no full stop; hint and detail are sentences.

    ``position`` is the 0-based offset in the user's statement of the word at fault, ``text`` that statement; both are
    filled in by whoever knows them, on the way up.
    """

    sqlstate = "XX000"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        detail: str | None = None,
        position: int | None = None,
        text: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail
        self.position = position
        self.text = text

    def reword(self, message: str) -> None:
        """Say the same in other words."""
        self.message = message
        self.args = (message,)


class ArtifactError(SqlmlError):
    """An artifact is corrupted, hostile, or of a format this release does not read."""

    sqlstate = "XX001"


class ModelReferenceError(SqlmlError):
    """A scoring function names a model, version or alias that is not loaded in this database instance."""

    sqlstate = "42704"


class InputMismatchError(SqlmlError):
    """The columns given to a scoring function are not those the model was trained on."""

    sqlstate = "22023"


class UnsupportedModelError(SqlmlError):
    """A model uses a feature of LightGBM that sqlml does not score, such as linear trees."""

    sqlstate = "0A000"
