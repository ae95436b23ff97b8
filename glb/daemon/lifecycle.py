"""Signals, readiness and log lines, the same for both daemons."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

import sdnotify

T = TypeVar("T")


def set_up_logging() -> None:
    """One line an event on standard error; the journal adds the time, a terminal does not need it twice."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("watchfiles", "pyroute2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def tell_ready(status: str) -> None:
    """Tell the service manager, if one listens ($NOTIFY_SOCKET, sd_notify(3))."""
    sdnotify.SystemdNotifier().notify(f"READY=1\nSTATUS={status}")


def tell_stopping() -> None:
    sdnotify.SystemdNotifier().notify("STOPPING=1")


def stop_event() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    on_signal(stop.set, signal.SIGTERM, signal.SIGINT)
    return stop


def on_signal(action: Callable[[], None], *numbers: signal.Signals) -> None:
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, action)


async def work_off(subject: T, actions: "asyncio.Queue[Callable[[T], None]]") -> None:
    """Do what is asked of the subject, one action after the other; in a thread, so that long work deafens no daemon."""
    while True:
        action = await actions.get()
        await asyncio.to_thread(action, subject)
