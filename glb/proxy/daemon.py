"""`glbctl proxy run`: attach, stay, detach."""

import logging

from glb.daemon.lifecycle import stop_event, tell_ready, tell_stopping
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, now
from glb.datapath.attachment import Attachment, find_interface
from glb.datapath.proxy import load_proxy

log = logging.getLogger(__name__)


async def run(interface: str, keep: bool) -> None:
    """Decapsulate on the interface until SIGTERM or SIGINT. With keep, the datapath stays attached afterwards.

    Raises DatapathError, with nothing attached.
    """
    stop = stop_event()
    attachment = Attachment(find_interface(interface))
    try:
        program = load_proxy()
        attachment.put(program)
    except BaseException:
        attachment.leave()
        raise
    report = Report(role="proxy", interface=interface, process=ProcessId.own(), started=now())
    report.write()
    log.info("%s: proxy ready", interface)
    tell_ready(f"attached to {interface}")
    await stop.wait()
    tell_stopping()
    if keep:
        attachment.leave()
        log.info("%s: stopped; the datapath stays attached", interface)
    else:
        attachment.remove()
        report.remove()
        log.info("%s: detached", interface)
    program.close()
