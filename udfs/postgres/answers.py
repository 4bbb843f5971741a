"""What ``sqlml._resolve`` answered in this backend, as long as it would answer the same: a statement asks in a microsecond.

An answer is one user's, for one reference and search path, under READ COMMITTED. It goes when anything in the catalog changes:
triggers on its tables send an invalidation of the server's own (``changed``), which every backend takes before it looks here. What
no trigger sees are roles, so an answer holds the role through which the user may use the model, and membership is asked anew.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import kernel, peek, word
from udfs.postgres import server
from udfs.postgres.memory import HASH_BYTES, copy, own, same, start_context
from udfs.postgres.server import call, call_byte, call_int, fail, set_word, variable

# Words of the library's own variable, after those of ``udfs.postgres.cache``.
GENERATION, IS_WATCHING, FIRST, COUNT, CONTEXT, MADE_IN = range(8, 14)
# Words of an answer.
NEXT, USER, ROLE, ROLE_NAME, PATH, PATH_LENGTH, REFERENCE, LENGTH, XMAX, XCOUNT, HASH = range(11)
ANSWER_BYTES = 8 * HASH + HASH_BYTES
MOST_ANSWERS = 64
REPEATABLE_READ = 2
# 32-bit words and a byte of a snapshot (PostgreSQL 15 to 17): first transaction that had not begun, how many were under way.
SNAPSHOT_XMAX, SNAPSHOT_COUNT, SNAPSHOT_OF_STANDBY = 2, 6, 45
LIST_LENGTH, LIST_ELEMENTS = 1, 2  # a 32-bit word and a word of a List
MOST_PATH = 1024


@kernel
def watch():
    """Have this backend count the changes from now on, before anything is asked."""
    if word(own(IS_WATCHING), 0) == 0:
        call("CacheRegisterRelcacheCallback", (variable("sqlml_invalidated"), np.int64(0)))
        set_word(own(IS_WATCHING), 0, 1)


@kernel
def count_change():
    """Forget everything: what the server calls when it hears of a change to any table's definition, or of ours to the catalog."""
    set_word(own(GENERATION), 0, word(own(GENERATION), 0) + 1)


@kernel
def announce(fcinfo):
    """Tell all backends, when the transaction commits, that a table of the catalog has changed."""
    trigger = word(fcinfo, 1)
    if trigger == 0:
        fail("39P01", "sqlml._catalog_changed is a function of triggers", (), "", ())
    call("CacheInvalidateRelcache", (word(trigger, 1),))


@kernel
def path_names(target):
    """Write the names of the schemas on the search path, each with a zero byte; how many bytes, or -1 where they are too many."""
    path = call("fetch_search_path", (np.int64(0),))
    size = np.int64(0)
    if path == 0:
        return size
    for k in range(np.int64(peek(path, np.int32, LIST_LENGTH))):
        name = call("get_namespace_name", (np.int64(peek(word(path, LIST_ELEMENTS), np.uint32, 2 * k)),))
        if name == 0:
            continue
        length = call("strlen", (name,)) + 1
        if size + length > MOST_PATH:
            return np.int64(-1)
        copy(name, target + size, length)
        size += length
    return size


@kernel
def is_kept_here():
    """Whether answers are of use: the newest state of the catalog is what statements of this transaction see."""
    if np.int64(peek(variable("XactIsoLevel"), np.int32, 0)) >= REPEATABLE_READ:
        return False
    if call_byte("ActiveSnapshotSet", ()) == 0:
        return False
    return np.int64(peek(call("GetActiveSnapshot", ()), np.uint8, SNAPSHOT_OF_STANDBY)) == 0


@kernel
def is_seen(answer):
    """Whether what the answer was made of is visible to the statement, whose snapshot may be older: a cursor's."""
    snapshot = call("GetActiveSnapshot", ())
    ahead = np.int64(np.int32(np.int64(peek(snapshot, np.uint32, SNAPSHOT_XMAX)) - word(answer, XMAX)))
    return ahead > 0 or (ahead == 0 and np.int64(peek(snapshot, np.uint32, SNAPSHOT_COUNT)) <= word(answer, XCOUNT))


@kernel
def has_right(answer, user):
    """Whether the user still has the role through which the model may be used, and that its name."""
    if call_byte("has_privs_of_role", (user, word(answer, ROLE))) == 0:
        return False
    name = call("GetUserNameFromId", (word(answer, ROLE), np.int64(1)))
    return name != 0 and call_int("strcmp", (name, word(answer, ROLE_NAME))) == 0


@kernel
def recall(reference, length):
    """The address of the hash that a reference stands for, or 0 where that has to be asked."""
    watch()
    call("AcceptInvalidationMessages", ())
    if word(own(FIRST), 0) == 0 or word(own(MADE_IN), 0) != word(own(GENERATION), 0) or not is_kept_here():
        return np.int64(0)
    user = call_int("GetUserId", ()) & 0xFFFFFFFF
    names = call("palloc", (np.int64(MOST_PATH),))
    size = path_names(names)
    answer = word(own(FIRST), 0)
    while answer != 0:
        if (
            word(answer, USER) == user
            and word(answer, LENGTH) == length
            and word(answer, PATH_LENGTH) == size
            and same(word(answer, REFERENCE), reference, length)
            and same(word(answer, PATH), names, size)
        ):
            return answer + 8 * HASH if is_seen(answer) and has_right(answer, user) else np.int64(0)
        answer = word(answer, NEXT)
    return np.int64(0)


@kernel
def is_newest():
    """Whether the statement's snapshot is what one taken now would be: nothing was committed since."""
    if call_byte("IsInParallelMode", ()) != 0:
        return False
    own_snapshot, newest = call("GetActiveSnapshot", ()), call("GetLatestSnapshot", ())
    return (
        peek(own_snapshot, np.uint32, SNAPSHOT_XMAX) == peek(newest, np.uint32, SNAPSHOT_XMAX)
        and peek(own_snapshot, np.uint32, SNAPSHOT_COUNT) == peek(newest, np.uint32, SNAPSHOT_COUNT)
    )  # fmt: skip


@kernel
def kept(context, address, length):
    """A copy of bytes, with a zero byte behind it."""
    made = server.allocate_in(context, length + 1)
    copy(address, made, length)
    return made


@kernel
def remember(reference, length, hash_bytes, role, generation):
    """Keep an answer that was asked for in this generation, if it is of the newest state."""
    names = call("palloc", (np.int64(MOST_PATH),))
    size = path_names(names)
    role_name = call("GetUserNameFromId", (role, np.int64(1)))
    if size < 0 or role_name == 0 or not is_newest():
        return
    context = word(own(CONTEXT), 0)
    if context == 0:
        context = start_context(server.text("sqlml answers"))
        set_word(own(CONTEXT), 0, context)
    if word(own(MADE_IN), 0) != generation or word(own(COUNT), 0) >= MOST_ANSWERS:
        set_word(own(FIRST), 0, 0)
        set_word(own(COUNT), 0, 0)
        call("MemoryContextReset", (context,))
    answer = server.allocate_in(context, np.int64(ANSWER_BYTES))
    snapshot = call("GetActiveSnapshot", ())
    set_word(answer, USER, call_int("GetUserId", ()) & 0xFFFFFFFF)
    set_word(answer, ROLE, role)
    set_word(answer, ROLE_NAME, kept(context, role_name, call("strlen", (role_name,))))
    set_word(answer, PATH, kept(context, names, size))
    set_word(answer, PATH_LENGTH, size)
    set_word(answer, REFERENCE, kept(context, reference, length))
    set_word(answer, LENGTH, length)
    set_word(answer, XMAX, np.int64(peek(snapshot, np.uint32, SNAPSHOT_XMAX)))
    set_word(answer, XCOUNT, np.int64(peek(snapshot, np.uint32, SNAPSHOT_COUNT)))
    copy(hash_bytes, answer + 8 * HASH, HASH_BYTES)
    set_word(answer, NEXT, word(own(FIRST), 0))
    set_word(own(FIRST), 0, answer)
    set_word(own(COUNT), 0, word(own(COUNT), 0) + 1)
    set_word(own(MADE_IN), 0, generation)
