# SPDX-License-Identifier: MIT
"""What each verdict and warning means, what usually causes it, what to do."""
