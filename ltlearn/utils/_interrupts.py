"""Tell a user's Ctrl-C from an exception of the same name."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def watched_interrupts():
    """A list that holds an entry as soon as the process was interrupted inside the block.

    Skorch's callbacks ask for the end of training by raising KeyboardInterrupt, as Ctrl-C does.
    Only the main thread is ever interrupted.
    """
    seen = []
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield seen
        return

    def note(number, frame):
        seen.append(number)
        return handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, handler)
