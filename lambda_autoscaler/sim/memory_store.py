"""The memory port of the simulated world: a shared record and a lock, with the same promises as the real store."""

from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.ports import Conflict


class Record:
    """What all holders share: the memory, its version, and who has the lock until when."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.version = 0
        self.holder = ""
        self.until = 0.0


class SimMemory:
    """One holder's view of the record; implements ``ports.MemoryStore``."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._holder = ""
        self._loaded = 0

    def acquire(self, holder: str, now: float, seconds: float) -> bool:
        """Take the lock unless somebody else has it."""
        record = self._record
        if record.holder not in ("", holder) and now < record.until:
            return False
        record.holder, record.until = holder, now + seconds
        self._holder = holder
        return True

    def load(self) -> Memory:
        """What was saved last."""
        self._loaded = self._record.version
        return self._record.memory

    def save(self, memory: Memory) -> None:
        """Keep memory; raises Conflict when it was written since ``load``."""
        if self._loaded != self._record.version:
            raise Conflict("the autoscaler's memory was written by another scan since it was read")
        self._record.memory = memory
        self._record.version += 1
        self._loaded = self._record.version

    def release(self) -> None:
        """Give the lock back, if it is still this holder's."""
        if self._record.holder == self._holder:
            self._record.holder, self._record.until = "", 0.0
