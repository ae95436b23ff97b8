# SPDX-License-Identifier: MIT
"""The duty that learns path MTUs from routers' ICMP messages about tunnelled packets."""

import asyncio
import logging
import time
from collections.abc import Callable
from ipaddress import IPv4Address

from glb.daemon.lane import Worker
from glb.director.forwarding import Forwarding
from glb.director.sources import Loaded
from glb.network.path_mtu import PathMtus, open_messages, read_too_big
from glb.waiting import unless

log = logging.getLogger(__name__)

_LONGEST_MESSAGE = 2048
_PAUSE_SECONDS = 0.01  # after each message: bounds the cost of a flood; routers repeat lost messages


async def learn_path_mtus(
    path_mtus: PathMtus, loaded: Callable[[], Loaded], traffic: Worker[Forwarding], stop: asyncio.Event
) -> None:
    """Learn path MTUs until stop is set. loaded: returns the files in force."""
    try:
        messages = open_messages()
    except OSError as error:
        log.warning("path MTUs are not learned from routers: no raw ICMP socket (%s); CAP_NET_RAW is needed", error)
        return
    loop = asyncio.get_running_loop()
    with messages:
        while (packet := await unless(stop, loop.sock_recv(messages, _LONGEST_MESSAGE))) is not None:
            if _learn(path_mtus, packet, loaded()):
                traffic.post_once("a path MTU", Forwarding.refresh)
            await asyncio.sleep(_PAUSE_SECONDS)


def _learn(path_mtus: PathMtus, packet: bytes, loaded: Loaded) -> bool:
    message = read_too_big(packet)
    if message is None:
        return False
    backends: set[IPv4Address] = {backend.address for backend in loaded.layout.backends}
    return path_mtus.learn(message, loaded.config.outbound_src_ip, backends, time.monotonic())
