"""Damaged and hostile images: refused by the check, in a process of its own and in the server, never a crash."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import psycopg
import pytest

from udfs.errors import UnsupportedModelError
from udfs.postgres import layout
from udfs.postgres.image import build_server_image, checksum
from udfs.postgres.install import reference_model, verified_library
from udfs.postgres.operators import NUMBERS
from udfs.postgres.stubs import stand_in
from udfs.postgres.verify import check_library
from udfs.transforms import OPERATORS

from .every_operator import USES, every_operator

ROOT = Path(__file__).parents[3]

DAMAGE = """
import sys
from pathlib import Path
import numpy as np
from udfs.postgres import layout
from udfs.postgres.image import checksum
from udfs.postgres.verify import load_library, score_rows

place = Path(sys.argv[1])
library = load_library(place)
good = np.frombuffer((place / "image").read_bytes(), np.int64)
chance = np.random.default_rng(int(sys.argv[2]))
rows = np.load(place / "rows.npy")
wild = np.array([-1, 1, 2**31, -(2**31), 2**40, -(2**62), 2**63 - 1, 255, 256, 7], np.int64)
accepted = 0
for number in range(int(sys.argv[3])):
    image = good.copy()
    for _ in range(int(chance.integers(1, 4))):
        at = int(chance.integers(0, layout.HEAD_WORDS if number % 3 == 0 else len(image)))
        choice = int(chance.integers(3))
        if choice == 0:
            image[at] = chance.choice(wild)
        elif choice == 1:
            image[at] ^= np.int64(1) << np.int64(chance.integers(0, 63))
        else:
            image.view(np.int32)[2 * at + int(chance.integers(2))] = chance.integers(-(2**31), 2**31)
    image[layout.CHECKSUM] = checksum(image)
    problem, _ = score_rows(library, image.tobytes(), rows, 2)
    accepted += not problem
print(accepted)
"""


@pytest.fixture(scope="module")
def tried(library, tmp_path_factory):
    """A folder with the library, its stand-in for a server, an image and rows."""
    place = tmp_path_factory.mktemp("tried")
    (place / "native.so").write_bytes(library)
    (place / "server.so").write_bytes(stand_in(library))
    (place / "image").write_bytes(build_server_image(reference_model()))
    rows = np.random.default_rng(1).normal(size=(20, 8))
    rows[:, 4:] = 0
    np.save(place / "rows.npy", rows.view(np.int64))
    return place


@pytest.mark.parametrize("seed", range(4))
def test_wild_images_with_right_checksums_do_not_crash(tried, seed):
    """Whatever passes the check must score without a fault; leaf values and thresholds may be anything, so some pass."""
    command = [sys.executable, "-c", DAMAGE, str(tried), str(seed), "1500"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0 < int(done.stdout) < 1500


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "magic", "version", "empty"])
def test_the_server_refuses_a_damaged_image(connection, publish, damage):
    image = bytearray(build_server_image(reference_model()))
    if damage == "flip":
        image[len(image) // 2] ^= 16
    elif damage == "cut":
        del image[-4096:]
    elif damage == "grow":
        image += bytes(64)
    elif damage == "magic":
        image[0] ^= 1
    elif damage == "version":
        words = np.frombuffer(bytes(image), np.int64).copy()
        words[layout.VERSION] += 1
        words[layout.CHECKSUM] = checksum(words)
        image = bytearray(words.tobytes())
    else:
        image = bytearray()
    publish(f"damaged {damage}", bytes(image))
    with pytest.raises(psycopg.errors.DataCorrupted, match="is damaged"):
        connection.execute(f"SELECT sqlml._value('damaged {damage}', 1, 2, 3, 4)")
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_library_is_tried_before_it_is_loaded(library):
    model = reference_model()
    rows = np.zeros((3, 8), np.int64)
    with pytest.raises(UnsupportedModelError, match="other predictions"):
        check_library(library, build_server_image(model), rows, np.full((3, 1), 0.25))
    offset, size = (struct.unpack_from("<Q", library, 64 + 56 + at)[0] for at in (8, 32))  # of the code
    broken = library[:offset] + b"\x0f\x0b" * (size // 2) + library[offset + size // 2 * 2 :]
    with pytest.raises(UnsupportedModelError, match="ended the child"):
        check_library(broken, build_server_image(model), rows, np.full((3, 1), 0.25))


def test_the_installer_gets_a_verified_library(library):
    flags = re.search(r"^flags\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split()
    assert verified_library(150_000, flags) == library
    for version, given in ((140_000, flags), (180_000, flags), (150_000, ["sse2"])):
        with pytest.raises(UnsupportedModelError, match=r"knows PostgreSQL|older than"):
            verified_library(version, given)


@pytest.fixture(scope="module")
def programs(library, tmp_path_factory):
    """A folder with the library, its stand-in for a server, and the image of a model with every operator."""
    place = tmp_path_factory.mktemp("programs")
    (place / "native.so").write_bytes(library)
    (place / "server.so").write_bytes(stand_in(library))
    (place / "image").write_bytes(build_server_image(every_operator()))
    return place


@pytest.mark.parametrize("seed", range(4))
def test_hostile_programs_with_right_checksums_do_not_crash(programs, seed):
    """Operands, parameters, tables and texts of every operator, and the nodes that explanations follow."""
    command = [sys.executable, str(Path(__file__).with_name("hostile.py")), str(programs), str(seed), "1500"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    assert 100 < int(done.stdout) < 1500


def test_every_operator_has_a_number():
    """An operator that is not numbered could not be scored, one that does nothing needs none."""
    assert set(NUMBERS) == {name for name, operator in OPERATORS.items() if operator.kernel is not None}
    assert {use[0] for use in USES} == set(NUMBERS)
