/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include_next <linux/if_packet.h>
