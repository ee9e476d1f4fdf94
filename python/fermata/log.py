# SPDX-License-Identifier: MIT OR GPL-2.0
"""Records that a guest's rules have logged (docs/events.md), from the channel or from a file."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, Iterable, Iterator, Optional, Tuple

_NUMBERS = ("leaf", "msr", "port", "cr", "dr", "xcr", "nr", "vector", "counter", "gpa")


def _number(value: Any) -> int:
    """Values of 64 bits are strings, as no double of JavaScript holds them."""
    return int(value, 0) if isinstance(value, str) else int(value)


@dataclasses.dataclass(frozen=True)
class Record:
    """One event. Times are in nanoseconds since the guest was made."""

    sequence: int
    vcpu: int
    host_ns: int
    guest_ns: int
    cost_ns: int
    event: str
    number_name: Optional[str]  #: "leaf", "msr", "nr", ...: what the event's number is called
    number: Optional[int]  #: None: this event has none
    gva: Optional[int]
    value: int
    old: int
    code: int
    rip: int
    cr3: int
    cpl: int
    rule: int
    regs: Tuple[int, ...]
    flags: Tuple[str, ...]
    raw: Dict[str, Any] = dataclasses.field(repr=False, compare=False)  #: all that the guest said

    @classmethod
    def parse(cls, said: Dict[str, Any]) -> Record:
        """From the object that the guest, or a line of `fermata log --json`, has. ValueError: it is none."""
        try:
            # `vector` is also what was raised; as the event's number it is a string.
            name = next((n for n in _NUMBERS if isinstance(said.get(n), str)), None)
            return cls(
                sequence=_number(said["sequence"]),
                vcpu=_number(said["vcpu"]),
                host_ns=_number(said["host_ns"]),
                guest_ns=_number(said["guest_ns"]),
                cost_ns=_number(said["cost_ns"]),
                event=str(said["event"]),
                number_name=name,
                number=_number(said[name]) if name else None,
                gva=_number(said["gva"]) if "gva" in said else None,
                value=_number(said["value"]),
                old=_number(said["old"]),
                code=_number(said.get("code", 0)),
                rip=_number(said["rip"]),
                cr3=_number(said["cr3"]),
                cpl=_number(said["cpl"]),
                rule=_number(said["rule"]),
                regs=tuple(_number(value) for value in said.get("regs", ())),
                flags=tuple(str(flag) for flag in said.get("flags", ())),
                raw=said,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no record of a log: {error}") from None


def read_log(lines: Iterable[str]) -> Iterator[Record]:
    """The records of a file that `fermata run --log-format json` or `fermata log --json` has written."""
    for line in lines:
        said = json.loads(line)
        if not isinstance(said, dict):
            raise ValueError("no record of a log: not an object")
        if "sequence" in said:  # other lines say what was lost
            yield Record.parse(said)
