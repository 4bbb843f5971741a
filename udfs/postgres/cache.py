"""The models of a backend: asked for by reference in every statement, kept by the hash of their artifact.

Who may use a model is the business of ``sqlml._resolve``, which runs with the caller's rights once a statement unless its answer is
known to be the same (``udfs.postgres.answers``); what is kept here is found by a hash that it returned. A model that a statement uses is not evicted before the statement's memory goes.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import kernel, peek, poke, word
from udfs.postgres import answers, layout, server
from udfs.postgres.check import check_image
from udfs.postgres.memory import HASH_BYTES, copy, own, same, start_context
from udfs.postgres.server import call, call_int, fail, set_word, variable

# Words of the library's own variable.
FIRST, TOTAL, CLOCK, RESOLVE_PLAN, IMAGE_PLAN, ROLE_PLAN = range(6)
# Words of an entry.
NEXT, HASH, IMAGE, SIZE, USERS, CONTEXT, USED = 0, 1, 9, 10, 11, 12, 13
ENTRY_BYTES = 8 * 14
MOST_BYTES = 1 << 28  # of images in a backend that no statement uses
SPI_OK_SELECT = 5


@kernel
def kept_plan(number, query):
    """A plan of a query of one text, made at its first use in a backend."""
    plan = word(own(number), 0)
    if plan == 0:
        types = np.int64(server.TEXT)
        at = call("palloc", (np.int64(8),))
        set_word(at, 0, types)
        plan = call("SPI_prepare", (query, np.int64(1), at))
        if plan == 0 or call_int("SPI_keepplan", (plan,)) != 0:
            fail("XX000", "cannot prepare a query of the catalog", (), "", ())
        set_word(own(number), 0, plan)
    return plan


@kernel
def ask(plan, datum):
    """Run a plan with one argument; the first value of its first row, or 0 for NULL and for no row."""
    at = call("palloc", (np.int64(16),))
    set_word(at, 0, datum)
    set_word(at, 1, 0x20)  # ' ': not NULL
    if call_int("SPI_execute_plan", (plan, at, at + 8, np.int64(1), np.int64(1))) != SPI_OK_SELECT:
        fail("XX000", "a query of the catalog failed", (), "", ())
    if word(variable("SPI_processed"), 0) == 0:
        return np.int64(0)
    table = word(variable("SPI_tuptable"), 0)
    poke(at, np.uint8, 8, np.uint8(0))
    found = call("SPI_getbinval", (word(word(table, 1), 0), word(table, 0), np.int64(1), at + 8))
    return np.int64(0) if peek(at, np.uint8, 8) != 0 else found


@kernel
def text_datum(address, length):
    """A text of the server made of bytes."""
    made = call("palloc", (length + 4,))
    poke(made, np.uint32, 0, np.uint32((length + 4) << 2))
    copy(address, made + 4, length)
    return made


@kernel
def find_model(reference, length):
    """The entry of the model that a reference names, for the current user, loaded where it is not kept."""
    known = answers.recall(reference, length)
    entry = entry_of(known) if known != 0 else np.int64(0)
    if entry == 0:
        entry = ask_for_model(reference, length)
    set_word(own(CLOCK), 0, word(own(CLOCK), 0) + 1)
    set_word(entry, USED, word(own(CLOCK), 0))
    return entry


@kernel
def entry_of(hash_bytes):
    """The entry of an artifact, or 0."""
    entry = word(own(FIRST), 0)
    while entry != 0 and not same(entry + 8 * HASH, hash_bytes, HASH_BYTES):
        entry = word(entry, NEXT)
    return entry


@kernel
def ask_for_model(reference, length):
    """The same by queries of the catalog."""
    generation = word(own(answers.GENERATION), 0)
    if call_int("SPI_connect", ()) < 0:
        fail("XX000", "cannot query the catalog", (), "", ())
    plan = kept_plan(RESOLVE_PLAN, server.text("SELECT sqlml._resolve($1)"))
    answer = ask(plan, text_datum(reference, length))
    shown = call("pnstrdup", (reference, length))
    if answer == 0:
        fail("42704", 'model "%s" does not exist', (shown,), "", ())
    answer = call("pg_detoast_datum", (answer,))
    size = (np.int64(peek(answer, np.uint32, 0)) >> 2) - 4
    if size == HASH_BYTES + 7 and peek(answer, np.uint8, 4 + 6) == 58:  # "sha256:"
        answer, size = answer + 7, size - 7
    if size != HASH_BYTES:
        fail("XX000", 'the catalog has no hash for model "%s"', (shown,), "", ())
    entry = entry_of(answer + 4)
    if entry == 0:
        entry = load_model(answer + 4, shown)
    elif answers.is_kept_here():  # not at the first call, which has enough to do, and is the only one of many a session
        plan = kept_plan(ROLE_PLAN, server.text("SELECT sqlml._granting_role($1)"))
        role = ask(plan, text_datum(answer + 4, np.int64(HASH_BYTES))) & 0xFFFFFFFF
        if role != 0:
            answers.remember(reference, length, answer + 4, role, generation)
    call_int("SPI_finish", ())
    return entry


@kernel
def load_model(hash_bytes, shown):
    """Bring an image from its table, refuse it if it is damaged, keep it."""
    query = server.text("SELECT image FROM sqlml._images WHERE artifact_hash OPERATOR(pg_catalog.=) $1")
    found = ask(kept_plan(IMAGE_PLAN, query), text_datum(hash_bytes, np.int64(HASH_BYTES)))
    if found == 0:
        fail(
            "XX001", 'model "%s" has no image for the native scorer', (shown,),
            "Run sqlml install again, which makes the images that are missing.", (),
        )  # fmt: skip
    found = call("pg_detoast_datum", (found,))
    size = (np.int64(peek(found, np.uint32, 0)) >> 2) - 4
    evict(size)
    context = start_context(server.text("sqlml model"))
    entry = server.allocate_in(context, np.int64(ENTRY_BYTES))
    image = (
        call("MemoryContextAllocHuge", (context, size + layout.ALIGNMENT)) + layout.ALIGNMENT - 1
    ) & -layout.ALIGNMENT
    call("memcpy", (image, found + 4, size))
    problem = check_image(image, size)
    if problem != 0:
        call("MemoryContextDelete", (context,))
        fail(
            "XX001", 'the image of model "%s" is damaged (check %lld)', (shown, problem),
            "Restore sqlml._images, or run sqlml install again, which makes images anew.", (),
        )  # fmt: skip
    copy(hash_bytes, entry + 8 * HASH, HASH_BYTES)
    set_word(entry, IMAGE, image)
    set_word(entry, SIZE, size)
    set_word(entry, CONTEXT, context)
    set_word(entry, NEXT, word(own(FIRST), 0))
    set_word(own(FIRST), 0, entry)
    set_word(own(TOTAL), 0, word(own(TOTAL), 0) + size)
    return entry


@kernel
def evict(room):
    """Forget the models used longest ago, but for those in use, until there is room."""
    while word(own(TOTAL), 0) + room > MOST_BYTES:
        oldest, before_oldest, before = np.int64(0), np.int64(0), np.int64(0)
        entry = word(own(FIRST), 0)
        while entry != 0:
            if word(entry, USERS) == 0 and (oldest == 0 or word(entry, USED) < word(oldest, USED)):
                oldest, before_oldest = entry, before
            before, entry = entry, word(entry, NEXT)
        if oldest == 0:
            return
        if before_oldest == 0:
            set_word(own(FIRST), 0, word(oldest, NEXT))
        else:
            set_word(before_oldest, NEXT, word(oldest, NEXT))
        set_word(own(TOTAL), 0, word(own(TOTAL), 0) - word(oldest, SIZE))
        call("MemoryContextDelete", (word(oldest, CONTEXT),))


@kernel
def hold(entry, context):
    """Keep an entry as long as a memory context lives."""
    record = server.allocate_in(context, np.int64(24))
    set_word(record, 0, variable("sqlml_forget"))
    set_word(record, 1, entry)
    call("MemoryContextRegisterResetCallback", (context, record))
    set_word(entry, USERS, word(entry, USERS) + 1)


@kernel
def let_go(entry):
    """What the server calls when that context goes."""
    set_word(entry, USERS, word(entry, USERS) - 1)
