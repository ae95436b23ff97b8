/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* bcc includes it, and needs nothing of it. */
