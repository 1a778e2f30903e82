"""What goes over the wire: a display, or what one has that an earlier one had not, as bytes.

A frame is a little-endian uint32 (bytes of the header), the header as JSON, padding to a multiple
of 8, then the arrays one after the other, each padded to 8. A message holds one or more of them. A full frame and a difference have the
same form: for each axis that grows, `keep` says how many rows the viewer already has and keeps.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ui.display import Display

_ALIGN = 8  # a typed array in a browser must begin at a multiple of its item's size
NOTHING = Display()


@dataclass(frozen=True)
class Change:
    """What a viewer of one display lacks of a later one."""

    header: dict[str, Any]  # the keys whose value is another
    keep: dict[str, int]  # axis -> rows that stay
    arrays: dict[str, NDArray[Any]]  # growing ones: the rows after those kept; others: whole
    grows: dict[str, str]


def difference(old: Display, new: Display) -> Change:
    """What turns `old` into `new`; with NOTHING as `old`, all of `new`.

    Rows are compared by what they are (a step; an interval's start and length), never by place,
    so thinning and a newest point that is later replaced need no bookkeeping of their own.
    """
    keep = {axis: same_rows(old.identity.get(axis), rows) for axis, rows in new.identity.items()}
    arrays = {}
    for name, array in new.arrays.items():
        if axis := new.grows.get(name):
            if keep[axis] < len(array):
                arrays[name] = array[keep[axis] :]
        elif not _equal(old.arrays.get(name), array):
            arrays[name] = array
    changed = {key: value for key, value in new.header.items() if old.header.get(key) != value}
    return Change(header=changed, keep=keep, arrays=arrays, grows=new.grows)


def same_rows(old: NDArray[Any] | None, new: NDArray[Any]) -> int:
    """How many rows the two begin with that are the same; a row may itself have several numbers."""
    if old is None or old.shape[1:] != new.shape[1:]:
        return 0
    shared = min(len(old), len(new))
    if not shared:
        return 0
    differs = (old[:shared] != new[:shared]).reshape(shared, -1).any(axis=1)
    return int(np.argmax(differs)) if differs.any() else shared


def _equal(old: NDArray[Any] | None, new: NDArray[Any]) -> bool:
    """Bit-equal: a NaN that stays is no change."""
    if old is new:  # what does not change is made once
        return True
    if old is None or old.shape != new.shape or old.dtype != new.dtype:
        return False
    return old.tobytes() == new.tobytes()


def encode(change: Change, **also: Any) -> bytes:
    """The bytes of a frame; `also` is added to the header (run, seq, full, ...)."""
    listed = [
        [name, _name(array.dtype), array.shape, change.grows.get(name)]
        for name, array in change.arrays.items()
    ]
    header = change.header | also | {"keep": change.keep, "arrays": listed}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % _ALIGN)
    parts = [struct.pack("<I", len(text)), text]
    for array in change.arrays.values():
        raw = np.ascontiguousarray(array).tobytes()
        parts += [raw, b"\0" * (-len(raw) % _ALIGN)]
    return b"".join(parts)


@cache
def _name(dtype: np.dtype[Any]) -> str:
    """ "float32"; numpy puts it together anew each time."""
    return dtype.name


def decode(frame: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a frame: what assets/frames.js does, for tests and other readers."""
    (length,) = struct.unpack_from("<I", frame)
    header = json.loads(frame[4 : 4 + length])
    arrays, place = {}, 4 + length
    for name, dtype, shape, _ in header["arrays"]:
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(frame, dtype, count, place).reshape(shape)
        place += -(-arrays[name].nbytes // _ALIGN) * _ALIGN
    return header, arrays


def packed(frames: Sequence[bytes]) -> bytes:
    """Several frames as one message, each with its length as uint32 before it.

    A message costs a socket more than the bytes in it, and a page may have eight subjects.
    """
    return b"".join(struct.pack("<I", len(frame)) + frame for frame in frames)


def unpacked(message: bytes) -> list[bytes]:
    """The frames of a message: what assets/feed.js does, for tests and other readers."""
    found, place = [], 0
    while place < len(message):
        (length,) = struct.unpack_from("<I", message, place)
        found.append(message[place + 4 : place + 4 + length])
        place += 4 + length
    return found


def sentence(run: str, seq: int, words: str) -> bytes:
    """A frame that carries only why there is nothing to show."""
    nothing = Change(header={}, keep={}, arrays={}, grows={})
    return encode(nothing, run=run, seq=seq, full=True, error=words)
