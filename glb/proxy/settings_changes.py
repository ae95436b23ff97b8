# SPDX-License-Identifier: MIT
"""What a reload of proxy.conf changed, for the log."""

from collections.abc import Collection, Iterator
from dataclasses import fields

from glb.config.model import ProxyConfig


def describe_changes(before: ProxyConfig, after: ProxyConfig) -> str:
    """Such as "sources +10.1.0.0/16 -10.0.0.0/8; metrics changed"; keys that are the same are left out."""
    return "; ".join(_changes(before, after)) or "no setting changed"


def _changes(before: ProxyConfig, after: ProxyConfig) -> Iterator[str]:
    for field in fields(ProxyConfig):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new:
            continue
        if isinstance(old, tuple) and isinstance(new, tuple):
            yield " ".join((field.name, *_items("+", new, old), *_items("-", old, new)))
        else:
            yield f"{field.name} changed"


def _items(sign: str, these: Collection[object], others: Collection[object]) -> Iterator[str]:
    left = set(others)
    return (f"{sign}{item}" for item in these if item not in left)
