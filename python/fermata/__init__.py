# SPDX-License-Identifier: MIT OR GPL-2.0
"""Fermata's running guests: a client of their control channels, and what their rules have logged.

    >>> import fermata
    >>> with fermata.Guest("web") as guest:
    ...     guest.on("syscall nr=59 do log")
    ...     for record in guest.follow():
    ...         print(record.guest_ns, record.event, record.number)
"""

from .channel import Busy, Channel, Denied, Error, Failed, Folder, GuestError, Protocol, State, Unreachable
from .channel import usual_folder
from .guest import Dirty, Event, Guest, Range, Rule, guests
from .log import Record, read_log

__all__ = [
    "Busy",
    "Channel",
    "Denied",
    "Dirty",
    "Error",
    "Event",
    "Failed",
    "Folder",
    "Guest",
    "GuestError",
    "Protocol",
    "Range",
    "Record",
    "Rule",
    "State",
    "Unreachable",
    "guests",
    "read_log",
    "usual_folder",
]
