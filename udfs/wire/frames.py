"""Messages of the Postgres protocol told apart in the bytes of a stream."""

from __future__ import annotations

from udfs.jit import kernel


@kernel
def end_of_rows(data, position, first, second):
    """Where messages of two tags end that begin at ``position``: at the head of another one, or behind the data."""
    size = data.shape[0]
    while position + 5 <= size and (data[position] == first or data[position] == second):
        length = 0
        for i in range(1, 5):
            length = (length << 8) | int(data[position + i])
        if length < 4:
            break
        position += 1 + length
    return position
