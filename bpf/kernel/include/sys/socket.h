/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* linux/icmp.h includes linux/if.h, which wants this one struct of the C library. */
struct sockaddr {
	unsigned short sa_family;
	char sa_data[14];
};
