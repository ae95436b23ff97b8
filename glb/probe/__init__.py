# SPDX-License-Identifier: MIT
"""The result for one client's packets, by the files and by the attached programs."""
