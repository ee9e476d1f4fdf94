# SPDX-License-Identifier: MIT OR GPL-2.0
"""The control channel itself: lines of JSON over a guest's Unix socket (docs/control.md)."""

from __future__ import annotations

import collections
import errno
import json
import os
import select
import socket
import stat
import struct
import time
from types import TracebackType
from typing import Any, Deque, Dict, List, Optional, Type, TypeVar

Json = Dict[str, Any]

LINE_LONGEST = 65536
PROTOCOL = 1


class Error(Exception):
    """Any error of this module."""


class Unreachable(Error):
    """There is no such guest, its process has died, or its folder or socket is not the user's own."""


class Protocol(Error):
    """What answers is no guest, or one of another version."""


class GuestError(Error):
    """The guest refuses a command. `kind` is the class of docs/control.md."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class State(GuestError):
    """The command is not possible now."""


class Failed(GuestError):
    """The command was tried, and went wrong."""


class Denied(GuestError):
    """The guest belongs to somebody else."""


class Busy(GuestError):
    """The guest has too many clients."""


_kinds: Dict[str, Type[GuestError]] = {"state": State, "failed": Failed, "denied": Denied, "busy": Busy}


def _guest_error(error: Any) -> GuestError:
    kind = str(error.get("class", "")) if isinstance(error, dict) else ""
    text = str(error.get("desc", "no reason given")) if isinstance(error, dict) else "no reason given"
    return _kinds.get(kind, GuestError)(kind, text)


Self = TypeVar("Self", bound="Closing")


class Closing:
    """Something that has to be closed; at the end of a `with` it is."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()


class Folder(Closing):
    """Where the user's guests have their sockets, opened once and used by its descriptor.

    path: another folder than the usual one.
    """

    def __init__(self, path: Optional[str] = None) -> None:
        self.path = path if path is not None else usual_folder()
        try:
            self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Unreachable(f"no guest runs: there is no {self.path}") from None
        except OSError as error:
            raise Unreachable(f"{self.path} cannot be opened: {error.strerror}") from None
        about = os.fstat(self.fd)
        if about.st_uid != os.geteuid() or about.st_mode & 0o022:
            self.close()
            raise Unreachable(f"{self.path} is not a folder that only you can write to")

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def names(self) -> List[str]:
        """The names that have a socket, in order; a guest that was killed may have left one."""
        found = []
        for name in os.listdir(self.fd):
            about = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            if stat.S_ISSOCK(about.st_mode):
                found.append(name)
        return sorted(found)

    def connect(self, name: str) -> socket.socket:
        """A connection to the guest's socket."""
        if not name or "/" in name or name in (".", ".."):
            raise Unreachable(f"'{name}' is not a guest's name")
        try:
            found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        except OSError:
            raise Unreachable(f"no guest '{name}' runs") from None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            about = os.fstat(found)
            if not stat.S_ISSOCK(about.st_mode) or about.st_uid != os.geteuid():
                raise Unreachable(f"{self.path}/{name} is no socket of yours")
            connection.connect(f"/proc/self/fd/{found}")
        except OSError as error:
            connection.close()
            if error.errno == errno.ECONNREFUSED:
                raise Unreachable(f"no guest '{name}' runs; its process has died") from None
            raise Unreachable(f"the guest '{name}' cannot be reached: {error.strerror}") from None
        except Unreachable:
            connection.close()
            raise
        finally:
            os.close(found)
        return connection


def usual_folder() -> str:
    """Where `fermata` looks for guests (docs/control.md)."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    user = os.geteuid()
    session = f"/run/user/{user}"
    if runtime.startswith("/") and os.path.isdir(runtime) and not (user == 0 and runtime == session):
        return runtime + "/fermata"
    if user == 0:
        return "/run/fermata"
    if os.path.isdir(session) and os.stat(session).st_uid == user:
        return session + "/fermata"
    return f"/tmp/fermata-{user}"


class Channel:
    """One connection. `events` has what was told between answers and not yet taken."""

    def __init__(self, name: str, folder: Optional[str] = None, timeout: float = 60.0) -> None:
        """timeout: seconds for the greeting, and for each answer."""
        self.name = name
        self.timeout = timeout
        self.events: Deque[Json] = collections.deque()
        self._bytes = b""
        with Folder(folder) as at:
            self._socket = at.connect(name)
        try:
            self.greeting = self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> Json:
        line = self._line(time.monotonic() + self.timeout)
        if line is None:
            raise Protocol(f"the guest '{self.name}' is ending, or is not one of this version")
        if "error" in line:
            raise _guest_error(line["error"])
        greeting = line.get("fermata")
        if not isinstance(greeting, dict) or greeting.get("protocol") != PROTOCOL:
            raise Protocol(f"the guest '{self.name}' speaks another protocol")
        return greeting

    @property
    def pid(self) -> int:
        """The process that has the guest, or its box."""
        peer = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", peer)[0])

    def fileno(self) -> int:
        """For select(): readable when the guest has something to say. Look at `events` first."""
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _line(self, until: Optional[float]) -> Optional[Json]:
        """The next line; None at the end. until None: without a limit."""
        while b"\n" not in self._bytes:
            if len(self._bytes) > LINE_LONGEST:
                raise Protocol(f"the guest '{self.name}' says a line without an end")
            left = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([self._socket], [], [], left)[0]:
                raise TimeoutError(f"the guest '{self.name}' does not answer")
            try:
                piece = self._socket.recv(4096)
            except ConnectionError:
                piece = b""
            if not piece:
                return None
            self._bytes += piece
        line, self._bytes = self._bytes.split(b"\n", 1)
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Protocol(f"the guest '{self.name}' says what is no JSON object")
        return value

    def call(self, command: str, **arguments: Any) -> Any:
        """Executes a command and returns what it returns. Arguments that are None are left out."""
        given = {name: value for name, value in arguments.items() if value is not None}
        request: Json = {"execute": command}
        if given:
            request["arguments"] = given
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise Unreachable(f"the guest '{self.name}' has ended") from None
        until = time.monotonic() + self.timeout
        while True:
            line = self._line(until)
            if line is None:
                raise Unreachable(f"the guest '{self.name}' has ended")
            if "return" in line:
                return line["return"]
            if "error" in line:
                raise _guest_error(line["error"])
            if "event" in line:
                self.events.append(line)

    def event(self, timeout: Optional[float] = None) -> Optional[Json]:
        """The next event; None when the guest has gone. TimeoutError after so many seconds (None: never)."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.events:
            line = self._line(until)
            if line is None:
                return None
            if "event" in line:
                self.events.append(line)
        return self.events.popleft()
