"""`glbctl proxy run`: attach, stay, detach."""

import asyncio
import logging

from glb.daemon.lifecycle import stop_event, tell_ready, tell_stopping
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, now
from glb.datapath.attachment import Attachment, find_interface
from glb.datapath.proxy import load_proxy

log = logging.getLogger(__name__)


class Proxy:
    """One interface's datapath."""

    def __init__(self, interface: str) -> None:
        """Load the program and attach it. Raises DatapathError, with nothing attached."""
        self._attachment = Attachment(find_interface(interface))
        try:
            self._program = load_proxy()
            self._attachment.put(self._program)
        except BaseException:
            self._attachment.leave()
            raise
        self._report = Report(role="proxy", interface=interface, process=ProcessId.own(), started=now())
        self._report.write()

    def detach(self) -> None:
        """Take the program off the interface and remove every trace."""
        self._attachment.remove()
        self._program.close()
        self._report.remove()

    def leave(self) -> None:
        """Let the datapath go on without this process."""
        self._attachment.leave()
        self._program.close()


async def run(interface: str, keep: bool) -> None:
    """Decapsulate on the interface until SIGTERM or SIGINT. With keep, the datapath stays attached afterwards.

    Raises DatapathError, with nothing attached.
    """
    stop = stop_event()
    proxy = await asyncio.to_thread(Proxy, interface)
    log.info("%s: proxy ready", interface)
    tell_ready(f"attached to {interface}")
    await stop.wait()
    tell_stopping()
    await asyncio.to_thread(proxy.leave if keep else proxy.detach)
    log.info("%s: %s", interface, "stopped; the datapath stays attached" if keep else "detached")
