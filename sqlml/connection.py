"""The connection a Python program holds: DuckDB's own client with the dialect on top, rows and frames out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from sqlml.handles import ModelHandle

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from sqlml.results import LocalResult
    from sqlml.session import Session
    from sqlml.training.progress import Progress

BATCH_ROWS = 1_000_000


class Connection:
    """A database connection that understands the dialect.

    Statements without ML syntax reach the engine byte for byte and behave as on a plain connection, its exceptions included.
    Everything else raises ``sqlml.errors.SqlmlError``, whose ``hint`` says the way out.

    Like the engine's own connection, one connection is for one thread at a time; ``cursor()`` gives another.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._local: LocalResult | None = None

    # -- statements --------------------------------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Any = None) -> Self:
        """Run one or more statements; the result of the last is fetched from this object."""
        self._local = None
        self._local = self._session.run(sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Sequence[Any]) -> Self:
        """Run a statement once for each set of parameters."""
        for values in parameters:
            self.execute(sql, values)
        return self

    def sql(self, query: str) -> Any:
        """The engine's relation of a query (lazy: it runs when read), or of an ML statement's result; None without a result."""
        self._local = None
        return self._session.relation(query)

    # -- results -----------------------------------------------------------------------------------------------------------

    @property
    def description(self) -> list[tuple[Any, ...]] | None:
        """Columns of the last result as the DB-API describes them."""
        described: list[tuple[Any, ...]] | None = self._result.description
        return described

    @property
    def rowcount(self) -> int:
        return int(self._result.rowcount)

    @property
    def status(self) -> str:
        """What the last ML statement did, in words, where it has no rows to show."""
        return self._local.status if self._local is not None else ""

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._result.fetchone()  # type: ignore[no-any-return]

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        return self._result.fetchmany(size)  # type: ignore[no-any-return]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._result.fetchall()  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while (row := self.fetchone()) is not None:
            yield row

    def arrow(self) -> pa.Table:
        """The rest of the last result as an Arrow table."""
        return self._local.rest() if self._local is not None else self._session.engine.result_table()

    def arrow_reader(self, rows_per_batch: int = BATCH_ROWS) -> pa.RecordBatchReader:
        """The rest of the last result as a stream of Arrow batches, in bounded memory."""
        if self._local is not None:
            return self._local.rest().to_reader()
        return self._session.engine.result_reader(rows_per_batch)

    def df(self) -> pd.DataFrame:
        """The rest of the last result as a pandas frame."""
        frame: pd.DataFrame = (
            self._local.rest().to_pandas() if self._local is not None else self._session.engine.result_frame()
        )
        return frame

    def pl(self) -> pl.DataFrame:
        """The rest of the last result as a Polars frame."""
        import polars as pl  # noqa: PLC0415 - an optional dependency, 0.2 s to import

        frame = pl.from_arrow(self.arrow())
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()

    @property
    def _result(self) -> Any:
        return self._local if self._local is not None else self._session.engine.result

    # -- models ------------------------------------------------------------------------------------------------------------

    @property
    def models(self) -> list[str]:
        """Names of the models of the current database, qualified where they are not in the current schema."""
        return self._session.model_names()

    def model(self, name: str) -> ModelHandle:
        """A handle on a model, version or alias: ``late``, ``late@2``, ``late@champion``. Raises UnknownModelError."""
        return ModelHandle(self, name)

    @property
    def notices(self) -> list[str]:
        """What the last statement had to say beside its result: rows left out, labels rounded, NULLs that score as 0."""
        return list(self._session.notices)

    @property
    def on_notice(self) -> Callable[[str], None] | None:
        """Called with each notice as it comes."""
        return self._session.on_notice

    @on_notice.setter
    def on_notice(self, callback: Callable[[str], None] | None) -> None:
        self._session.on_notice = callback

    @property
    def on_progress(self) -> Callable[[Progress], None] | None:
        """Called with the progress of training."""
        return self._session.on_progress

    @on_progress.setter
    def on_progress(self, callback: Callable[[Progress], None] | None) -> None:
        self._session.on_progress = callback

    # -- transactions and life ---------------------------------------------------------------------------------------------

    def begin(self) -> Self:
        return self.execute("BEGIN TRANSACTION")

    def commit(self) -> Self:
        return self.execute("COMMIT")

    def rollback(self) -> Self:
        return self.execute("ROLLBACK")

    def interrupt(self) -> None:
        """Stop the running statement of this connection, from another thread: a query, or training at its next iteration."""
        self._session.interrupt()

    def cursor(self) -> Connection:
        """Another connection to the same database, for another thread or another result."""
        return Connection(self._session.duplicate())

    @property
    def session(self) -> Session:
        """What runs the dialect underneath, for doors of our own."""
        return self._session

    @property
    def local(self) -> LocalResult | None:
        """The result of the last statement where no engine holds it."""
        return self._local

    @property
    def engine_connection(self) -> Any:
        """The engine's own connection underneath."""
        return self._session.engine.connection

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        """What sqlml does not define is the engine connection's own: register, append, load_extension..."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._session.engine.connection, name)
