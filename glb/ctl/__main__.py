# SPDX-License-Identifier: MIT
"""`python -m glb.ctl` is `glbctl`: how it starts itself."""

from glb.ctl.main import run

run()
