"""Signals, readiness and log lines, the same for both daemons."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import sdnotify

from glb.daemon.descriptors import raise_limit

log = logging.getLogger(__name__)


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


class Service(Protocol):
    """A datapath that this process looks after. Its methods block, and are called one after the other."""

    def reload(self) -> object: ...

    def detach(self) -> None: ...

    def leave(self) -> None: ...


S = TypeVar("S", bound=Service)
R = TypeVar("R")
Actions: TypeAlias = asyncio.Queue[Callable[[S], object]]


async def ask(actions: Actions[S], question: Callable[[S], R]) -> R:
    """Have the worker do something, after all that was asked for before. Returns its result, or raises its error."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[R] = loop.create_future()

    def settle(give: Callable[[Any], None], value: object) -> None:
        if not answer.done():  # whoever asked may have gone
            give(value)

    def act(service: S) -> None:
        try:
            result = question(service)
        except Exception as error:
            loop.call_soon_threadsafe(settle, answer.set_exception, error)
        else:
            loop.call_soon_threadsafe(settle, answer.set_result, result)

    actions.put_nowait(act)
    return await answer


async def live(
    role: str,
    interfaces: Sequence[str],
    keep: bool,
    start: Callable[[], S],
    duties: Sequence[Callable[[Actions[S], asyncio.Event], Coroutine[None, None, None]]],
) -> None:
    """A daemon's life: start, do what the duties ask for and reload at SIGHUP, until SIGTERM or SIGINT.

    With keep, the datapath stays attached afterwards. It also stays should this process fail: traffic must not suffer
    for it. Raises what `start` raises.
    """
    raise_limit()
    stop = stop_event()
    actions: Actions[S] = asyncio.Queue()
    on_signal(lambda: actions.put_nowait(lambda service: service.reload()), signal.SIGHUP)  # unheard, it would end us
    service = await asyncio.to_thread(start)
    names = ", ".join(interfaces)
    tell_ready(f"attached to {names}")
    log.info("%s: %s ready", names, role)
    try:
        async with asyncio.TaskGroup() as tasks:
            for duty in duties:
                tasks.create_task(duty(actions, stop))
            worker = tasks.create_task(_work_off(service, actions))
            await stop.wait()
            worker.cancel()
    except BaseException:
        await asyncio.to_thread(service.leave)
        raise
    tell_stopping()
    await asyncio.to_thread(service.leave if keep else service.detach)
    log.info("%s: %s", names, "stopped; the datapath stays attached" if keep else "detached")


async def _work_off(service: S, actions: Actions[S]) -> None:
    """One action after the other; in a thread, so that long work deafens no daemon."""
    while True:
        action = await actions.get()
        running = asyncio.ensure_future(asyncio.to_thread(action, service))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            await running  # no thread can be cancelled: what has begun ends before the datapath is let go
            raise
