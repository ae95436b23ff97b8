# SPDX-License-Identifier: MIT
"""Whether a proxy's configuration that is well-formed works as it seems to be meant. Pure."""

from collections.abc import Iterator

from glb.config.model import ANY_IPV4, ProxyConfig
from glb.config.note import Note, warning


def judge_proxy(config: ProxyConfig) -> Iterator[Note]:
    """What the proxy is loaded with, and does not protect."""
    if ANY_IPV4 in config.sources:
        place = ("sources", config.sources.index(ANY_IPV4))
        what = "0.0.0.0/0 accepts tunnelled packets from any address: each host that reaches the port can forge clients"
        yield warning(place, f"{what}; list the directors and proxies")
