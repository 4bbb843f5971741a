"""Every error a user of sqlml can meet, on the root that the in-database code shares."""

from __future__ import annotations

from udfs.errors import (
    ArtifactError,
    InputMismatchError,
    ModelReferenceError,
    SqlmlError,
    UnsupportedModelError,
)

__all__ = [
    "AmbiguousColumnError",
    "ArtifactError",
    "CancelledError",
    "CatalogVersionError",
    "ConflictError",
    "DataError",
    "DependencyError",
    "DuplicateColumnError",
    "EngineError",
    "InputMismatchError",
    "LoginError",
    "MissingColumnError",
    "MissingExtraError",
    "ModelExistsError",
    "ModelReferenceError",
    "NotSupportedYetError",
    "OptionError",
    "OptionValueError",
    "PermissionDeniedError",
    "PortabilityError",
    "ProtocolError",
    "ReadOnlyError",
    "ResourceError",
    "SignatureError",
    "SqlSyntaxError",
    "SqlmlError",
    "TrainingError",
    "TransformError",
    "UnknownModelError",
    "UnsupportedModelError",
    "UnsupportedTypeError",
]


class SqlSyntaxError(SqlmlError):
    """The dialect's own syntax was broken; ``position`` is always known."""

    sqlstate = "42601"


class NotSupportedYetError(SqlmlError):
    """The statement is part of the dialect, but this release does not run it."""

    sqlstate = "0A000"


class UnknownModelError(SqlmlError):
    """No model, version or alias of that name; the hint gives the nearest one."""

    sqlstate = "42704"


class ModelExistsError(SqlmlError):
    """CREATE MODEL or RENAME met a name that is taken."""

    sqlstate = "42710"


class OptionError(SqlmlError):
    """An option that does not exist, stands twice, or contradicts another one."""

    sqlstate = "42602"


class OptionValueError(SqlmlError):
    """An option's value has the wrong type or is out of range."""

    sqlstate = "22023"


class DataError(SqlmlError):
    """The training or evaluation data cannot be used: no rows, a constant label, too many classes, infinite values."""

    sqlstate = "22000"


class UnsupportedTypeError(SqlmlError):
    """A column's type cannot be a feature or a label."""

    sqlstate = "42804"


class MissingColumnError(SqlmlError):
    """A column the model needs is not among those given."""

    sqlstate = "42703"


class DuplicateColumnError(SqlmlError):
    """Two columns of one name where each needs its own, or an input named as a predicted column is."""

    sqlstate = "42701"


class AmbiguousColumnError(SqlmlError):
    """A feature's name fits more than one column in sight."""

    sqlstate = "42702"


class TransformError(SqlmlError):
    """A TRANSFORM expression cannot be fitted or applied."""

    sqlstate = "42P17"


class PortabilityError(SqlmlError):
    """A model whose TRANSFORM needs its own engine was used where that engine cannot compute it."""

    sqlstate = "0A000"


class SignatureError(SqlmlError):
    """A version with other inputs or another output type cannot become the default while recorded views use the model."""

    sqlstate = "2BP01"


class DependencyError(SqlmlError):
    """An object cannot be dropped because others use it; the detail lists them."""

    sqlstate = "2BP01"


class ConflictError(SqlmlError):
    """Another session changed the same model at the same time."""

    sqlstate = "40001"


class ReadOnlyError(SqlmlError):
    """The database, transaction or attached database cannot be written."""

    sqlstate = "25006"


class TrainingError(SqlmlError):
    """LightGBM refused what it was given: a bug of ours, or parameters that contradict each other."""

    sqlstate = "38000"


class CancelledError(SqlmlError):
    """The user stopped a long statement; nothing was stored."""

    sqlstate = "57014"


class ResourceError(SqlmlError):
    """Memory or disk would not suffice; nothing was stored."""

    sqlstate = "53000"


class CatalogVersionError(SqlmlError):
    """The catalog was written by a newer release."""

    sqlstate = "55000"


class MissingExtraError(SqlmlError):
    """An optional dependency is not installed; the hint gives the command."""

    sqlstate = "58P01"


class EngineError(SqlmlError):
    """An error of the database engine itself, with its position mapped back into the user's text where it is known."""

    sqlstate = "38000"


class ProtocolError(SqlmlError):
    """A client of the server broke the protocol; its connection ends."""

    sqlstate = "08P01"

    def __init__(self, message: str, *, sqlstate: str | None = None, detail: str | None = None) -> None:
        super().__init__(message, detail=detail)
        self.sqlstate = sqlstate or type(self).sqlstate


class LoginError(SqlmlError):
    """Who asks for a session of the server does not get one; the connection ends."""

    sqlstate = "28P01"


class PermissionDeniedError(SqlmlError):
    """The user of a session may not do that."""

    sqlstate = "42501"
