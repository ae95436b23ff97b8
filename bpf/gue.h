/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The tunnel: IPv4, UDP, GUE (draft-ietf-intarea-gue) with GLB's private data, then the client's packet. */
#pragma once

#include "types.h"

#define GUE_PORT __constant_htons(19523)

/* A row has up to 8 hops, and an alternative row up to 8 more; the first of them is the outer destination. */
#define MAX_ROW_HOPS 8
#define MAX_HOPS (2 * MAX_ROW_HOPS)

struct guehdr {
	__u8 hlen : 5, control : 1, version : 2;
	__u8 protocol; /* IPPROTO_IPIP or IPPROTO_IPV6 */
	__be16 flags;
};

/* GLB's private data. hop_count IPv4 addresses follow. */
struct glbhdr {
	__be16 type;
	__u8 next_hop;
	__u8 hop_count;
};

/* The headers that the director inserts between the link's header and the packet. */
struct tunnel {
	struct iphdr ip;
	struct udphdr udp;
	struct guehdr gue;
	struct glbhdr glb;
};

_Static_assert(sizeof(struct guehdr) == 4, "GUE's fixed part is 4 bytes");
_Static_assert(sizeof(struct glbhdr) == 4, "GLB's fixed part is 4 bytes");
_Static_assert(sizeof(struct tunnel) == 20 + 8 + 4 + 4, "no holes in the tunnel's headers");
