"""The control plane's programs as child processes that say why they failed and never outlive their owner."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

_LOG_TAIL_LINES = 25


class ComponentFailed(RuntimeError):
    """A component ended or did not get ready in time; the message carries the tail of its log."""


class Component:
    """One running program: its output goes to ``log``."""

    def __init__(self, program: Path, arguments: Sequence[str], folder: Path) -> None:
        self.name = program.name
        self.log = folder / f"{program.name}.log"
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C reaches us alone, and we stop the components in the right order.
            self._process = subprocess.Popen(
                [str(program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when ``ready()`` is true; ComponentFailed when the program ends first or ``seconds`` pass."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None:
                raise ComponentFailed(f"{self.name} ended with code {self._process.returncode}\n{self._tail()}")
            if time.monotonic() > deadline:
                raise ComponentFailed(f"{self.name} was not ready after {seconds:.0f} s\n{self._tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the program at once: all its state is thrown away, so there is nothing to finish gracefully."""
        self._process.kill()
        self._process.wait()

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return "\n".join([f"the end of its log ({self.log}):", *lines])


def free_ports(count: int) -> list[int]:
    """``count`` different TCP ports of 127.0.0.1 that nobody listens on now."""
    with contextlib.ExitStack() as sockets:
        ports = []
        for _ in range(count):
            candidate = sockets.enter_context(socket.socket())
            candidate.bind(("127.0.0.1", 0))
            ports.append(int(candidate.getsockname()[1]))
        return ports


@contextlib.contextmanager
def stopped_on_sigterm(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` before SIGTERM takes its course: by default it ends Python without unwinding any ``with`` block.

    Signals are the main thread's business: in another thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGTERM)

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop()
        signal.signal(signal.SIGTERM, previous)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
