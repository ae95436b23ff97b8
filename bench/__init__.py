# SPDX-License-Identifier: MIT
"""What glb costs: the datapath by the nanosecond, whole tables, and a network with other load balancers beside it."""
