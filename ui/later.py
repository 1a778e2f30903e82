"""What takes longer than a page may wait: computed in one thread, the newest question first, and kept."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

log = logging.getLogger(__name__)
KEPT = 256  # values
WAITING = 4  # questions; of a hand that slides, only the last few matter


class Later:
    """Values by their keys, each computed once. Thread-safe."""

    def __init__(self, kept: int = KEPT, waiting: int = WAITING):
        self.kept, self.most_waiting = kept, waiting
        self.lock = threading.Condition()
        self.values: OrderedDict[Hashable, Any] = OrderedDict()
        self.waiting: OrderedDict[Hashable, Callable[[], Any]] = OrderedDict()
        self.thread: threading.Thread | None = None

    def get(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The value, or None while it is being computed; then ask again. Never waits.

        compute  called once, in another thread; what it raises is raised here
        """
        with self.lock:
            if key in self.values:
                self.values.move_to_end(key)
                if isinstance(found := self.values[key], Exception):
                    del self.values[key]  # the next who asks has it tried again
                    raise found
                return found
            self.waiting[key] = compute
            self.waiting.move_to_end(key)
            while len(self.waiting) > self.most_waiting:
                self.waiting.popitem(last=False)
            if self.thread is None:
                self.thread = threading.Thread(target=self._work, name="later", daemon=True)
                self.thread.start()
            return None

    def _work(self) -> None:
        while True:
            with self.lock:
                if not self.waiting:
                    self.thread = None
                    return
                key, compute = next(reversed(self.waiting.items()))
            try:
                value = compute()
            except Exception as error:
                log.exception("What was asked for later could not be computed")
                value = error
            with self.lock:
                self.waiting.pop(key, None)
                self.values[key] = value
                while len(self.values) > self.kept:
                    self.values.popitem(last=False)
