"""What the tests of transforms share: a way from Arrow data and a TRANSFORM to features, as training and scoring take it."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from sqlml.engines.engine import Column
from sqlml.planning.features import FeatureOptions, plan_features
from udfs.columns import raw_block
from udfs.transforms import Pipeline, apply_program, check_steps, start_fit


def quote(*parts):
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


class Fitted:
    """A fitted transform over the DuckDB relation ``t``."""

    def __init__(self, table, transform, *, label=None, batch=700, options=None, fold=None, classes=0, late_classes=0):
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.register("t", table)
        columns = [Column(row[0], row[1]) for row in self.connection.execute("DESCRIBE t").fetchall()]
        self.plan = plan_features(
            columns,
            label=label,
            transform=transform,
            options=options or FeatureOptions(),
            type_of=lambda e: self.connection.execute(f"DESCRIBE SELECT ({e}) AS v FROM t").fetchall()[0][1],
            classes=classes,
        )
        steps = [
            replace(step, params={**step.params, "classes": late_classes})
            if late_classes and step.op == "target_encoder"
            else step
            for step in self.plan.steps
        ]
        self.fit = start_fit(replace(self.plan, steps=tuple(steps)))
        self.fold = fold
        done = 0
        for block, labels in self.blocks(label, batch):
            part = None if fold is None else fold[done : done + block.rows]
            self.fit.update(block, labels, part)
            done += block.rows
        self.steps, self.features = self.fit.finish()
        self.program = Pipeline(self.plan.arguments, self.steps, self.features)
        check_steps(self.program)

    def blocks(self, label, batch):
        sql = self.plan.source_sql("SELECT * FROM t", [label] if label else [], quote)
        for piece in self.connection.sql(sql).to_arrow_reader(batch):
            labels = piece.column(len(self.plan.arguments)).cast(pa.float64()).to_numpy() if label else None
            yield raw_block(piece, self.plan.arguments), labels

    @property
    def names(self):
        return [feature.name for feature in self.features]

    def apply(self, table=None):
        """Features by name, for the training rows or others."""
        if table is not None:
            self.connection.register("t", table)
        parts = [apply_program(self.program, block) for block, _ in self.blocks(None, 900)]
        return dict(zip(self.names, np.hstack(parts), strict=True))

    def apply_training(self, label):
        parts = []
        done = 0
        for block, _ in self.blocks(label, 900):
            part = None if self.fold is None else self.fold[done : done + block.rows]
            parts.append(self.fit.apply_training(block, part))
            done += block.rows
        return dict(zip(self.names, np.hstack(parts), strict=True))


@pytest.fixture(scope="session")
def fit_transform():
    return Fitted
