# SPDX-License-Identifier: MIT
"""SipHash-2-4, the rendezvous ranking of a table's rows, and the hash of a flow."""
