# SPDX-License-Identifier: MIT OR GPL-2.0
"""A running guest: what `fermata stat`, `pause`, `on`, `log`, `clock`, ... do, as methods."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .channel import Channel, Closing, Error, Folder, Json
from .log import Record


@dataclasses.dataclass(frozen=True)
class Event:
    """What happens to the guest: paused, resumed, stopped (by a rule), ended, lost."""

    name: str
    data: Dict[str, Any]
    time: float  #: seconds since 1970

    @classmethod
    def parse(cls, line: Json) -> Event:
        stamp = line.get("timestamp") or {}
        seconds = stamp.get("seconds", 0) + stamp.get("microseconds", 0) / 1e6
        return cls(str(line.get("event", "")), dict(line.get("data") or {}), seconds)


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule in force."""

    id: int
    event: str
    rule: str  #: in the words of docs/events.md
    hits: int
    matches: int  #: before first= and every=


@dataclasses.dataclass(frozen=True)
class Range:
    """Memory that lies together."""

    gpa: int
    pages: int


@dataclasses.dataclass(frozen=True)
class Dirty:
    """What was written to since the last answer."""

    pages: int
    page_size: int
    memory: int
    ns: int
    ranges: Tuple[Range, ...]
    left_out: int


class Guest(Closing):
    """A connection to a running guest; with `with` it is closed at the end, and the guest runs on."""

    def __init__(self, name: str, *, folder: Optional[str] = None, timeout: float = 60.0) -> None:
        """folder: where its socket is, if not at the usual place. timeout: seconds for each answer."""
        self.name = name
        self.channel = Channel(name, folder, timeout)
        self.dropped = 0  #: records of the log that were lost so far, as the last log() said

    def close(self) -> None:
        self.channel.close()

    @property
    def pid(self) -> int:
        """The process that has the guest, or its box."""
        return self.channel.pid

    def commands(self) -> List[Json]:
        """The commands that this guest knows, with their arguments."""
        return list(self.channel.call("commands"))

    def query(self) -> Json:
        """name, state, where, vendor, vcpus, memory (bytes), since (seconds since 1970), seconds."""
        return dict(self.channel.call("query"))

    @property
    def state(self) -> str:
        """running, paused or ended"""
        return str(self.query()["state"])

    def stats(self) -> Json:
        """Counts and costs since the guest was made; docs/control.md has the members."""
        return dict(self.channel.call("stats"))

    # ---- held and released

    def pause(self, clock: Optional[str] = None) -> None:
        """Holds it. clock: "freeze" or "advance", what becomes of the time that passes meanwhile."""
        self.channel.call("pause", clock=clock)

    def resume(self, clock: Optional[str] = None) -> None:
        """Lets it go on. clock: as for pause(), and stronger."""
        self.channel.call("resume", clock=clock)

    def quit(self) -> Optional[Event]:
        """Ends it at once and waits until it has ended: the last event."""
        self.channel.call("quit")
        last = None
        while (event := self.event()) is not None:
            last = event
        return last

    # ---- its clock

    def clock(self) -> Json:
        """What its clock is now; docs/control.md has the members."""
        return dict(self.channel.call("clock"))

    def clock_do(self, what: str, value: Optional[str] = None) -> Json:
        """freeze, thaw; rate, step, jump, set with a value, in the words of `fermata clock`."""
        return dict(self.channel.call("clock", do=what, value=value))

    # ---- its memory

    def log_dirty(self, on: bool = True) -> None:
        """Switches the log of written pages."""
        self.channel.call("dirty", do="on" if on else "off")

    def dirty(self) -> Dirty:
        """What was written to since the last answer, for whomever it was; State: there is no log."""
        said = self.channel.call("dirty")
        return Dirty(
            pages=said["pages"],
            page_size=said["page_size"],
            memory=said["memory"],
            ns=said["ns"],
            ranges=tuple(Range(_address(one["gpa"]), one["pages"]) for one in said["ranges"]),
            left_out=said["left_out"],
        )

    # ---- rules and their log

    def on(self, rule: str) -> int:
        """Gives it a rule, in the words of docs/events.md; the rule's number."""
        return int(self.channel.call("on", rule=rule)["id"])

    def off(self, rule: int) -> None:
        """Removes a rule."""
        self.channel.call("off", id=rule)

    def rules(self) -> List[Rule]:
        """The rules in force."""
        names = [field.name for field in dataclasses.fields(Rule)]
        return [Rule(**{name: one[name] for name in names}) for one in self.channel.call("events")["rules"]]

    def log(self) -> List[Record]:
        """Takes up to 90 records out of the log; none: it is empty."""
        said = self.channel.call("log")
        self.dropped = int(said["dropped"])
        return [Record.parse(one) for one in said["records"]]

    def follow(self, pause: float = 0.05) -> Iterator[Record]:
        """All records until the guest ends. pause: seconds between two looks into an empty log."""
        while True:
            try:
                records = self.log()
            except Error:
                return
            yield from records
            if not records:
                time.sleep(pause)

    # ---- events

    def event(self, timeout: Optional[float] = None) -> Optional[Event]:
        """The next event; None when the guest has gone. TimeoutError after so many seconds (None: never)."""
        line = self.channel.event(timeout)
        return None if line is None else Event.parse(line)

    def events(self) -> Iterator[Event]:
        """All events until the guest has gone."""
        while (event := self.event()) is not None:
            yield event


def _address(value: Any) -> int:
    return int(value, 0) if isinstance(value, str) else int(value)


def guests(folder: Optional[str] = None, timeout: float = 3.0) -> Iterator[Guest]:
    """A connection to each of the user's guests that answers, by name. Each is closed before the next is opened."""
    try:
        with Folder(folder) as at:
            names = at.names()
    except Error:
        return
    for name in names:
        try:
            guest = Guest(name, folder=folder, timeout=timeout)
        except (Error, TimeoutError):
            continue
        with guest:
            yield guest
