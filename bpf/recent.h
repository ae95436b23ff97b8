/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Connections of which the kernel has just said that they are established here: for a moment, it is not asked again. A
 * lookup of a socket costs twice what the rest of the proxy does. docs/decisions.md tells what a moment too long would do. */
#pragma once

#include "packet.h"
#include "proxy_maps.h"

#define RECENT_JIFFIES 25 /* 25 to 250 ms, by the kernel's HZ */
#define GOLDEN_RATIO 0x9e3779b97f4a7c15ULL /* 2^64 by the golden ratio: Knuth, 6.4 */

__inline __u64 ports_of(const struct flow *flow)
{
	return (__u64)flow->family << 32 | (__u32)flow->dst_port << 16 | flow->src_port;
}

/* Where a flow is remembered on this CPU, in the place of whichever was there before. */
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
