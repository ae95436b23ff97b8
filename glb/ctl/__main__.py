# SPDX-License-Identifier: MIT
"""Runs `glbctl` as `python -m glb.ctl`."""

from glb.ctl.main import run

run()
