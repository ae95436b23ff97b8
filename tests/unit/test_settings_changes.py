# SPDX-License-Identifier: MIT
"""What the log says of a reload of proxy.conf."""

from dataclasses import replace
from ipaddress import ip_network

from glb.config.parse import parse_proxy
from glb.proxy.settings_changes import describe_changes

BEFORE = parse_proxy('{"sources": ["10.0.0.0/24", "10.0.1.0/24"]}', "proxy.conf")


def test_lists_show_what_came_and_what_went() -> None:
    after = parse_proxy('{"sources": ["10.0.0.0/24", "10.0.2.0/24"], "namespaces": ["web"]}', "proxy.conf")

    assert describe_changes(BEFORE, after) == "sources +10.0.2.0/24 -10.0.1.0/24; namespaces +web"


def test_other_settings_are_named() -> None:
    after = replace(BEFORE, agent=None, vips=(ip_network("203.0.113.10"),))

    assert describe_changes(BEFORE, after) == "agent changed; vips changed"


def test_nothing_changed_is_said_as_well() -> None:
    assert describe_changes(BEFORE, BEFORE) == "no setting changed"
