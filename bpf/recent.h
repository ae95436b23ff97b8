/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Connections that a socket lookup has just found established here: for a moment they are not looked up again. A lookup
 * costs twice as much as the rest of the proxy. docs/decisions.md has the effects of a longer moment. */
#pragma once

#include "packet.h"
#include "proxy_maps.h"

#define RECENT_JIFFIES 25		   /* 25 to 250 ms, by the kernel's HZ */
#define GOLDEN_RATIO 0x9e3779b97f4a7c15ULL /* 2^64 divided by the golden ratio: Knuth, 6.4 */

__inline __u64 ports_of(const struct flow *flow)
{
	return (__u64)flow->family << 32 | (__u32)flow->dst_port << 16 | flow->src_port;
}

/* The flow's entry on this CPU; a new connection overwrites an older one. */
__inline struct recent *place_of(const struct flow *flow)
{
	__u64 word = flow->src[0] ^ flow->src[1] ^ ports_of(flow) << 24;
	__u32 place = word * GOLDEN_RATIO >> (64 - RECENT_BITS);

	return recent.lookup(&place);
}

__inline bool is_recent(const struct recent *place, const struct flow *flow)
{
	if (place->ports != ports_of(flow) || place->src[0] != flow->src[0] || place->dst[0] != flow->dst[0])
		return false;
	if (flow->family == 6 && (place->src[1] != flow->src[1] || place->dst[1] != flow->dst[1]))
		return false;
	return bpf_jiffies64() < place->until;
}

__inline void remember(struct recent *place, const struct flow *flow)
{
	place->until = bpf_jiffies64() + RECENT_JIFFIES;
	place->ports = ports_of(flow);
	__builtin_memcpy(place->src, flow->src, sizeof(place->src));
	__builtin_memcpy(place->dst, flow->dst, sizeof(place->dst));
}
