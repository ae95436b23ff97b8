# SPDX-License-Identifier: MIT
"""Is this host fit for glb, and does what runs on it do what its files say?"""
