/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* From a flow to its bind. */
#pragma once

#include "director_maps.h"
#include "packet.h"

/* The intervals are disjoint and ascending, at most 65,536 of them. */
#define RANGE_SEARCH_STEPS 17

__inline struct bind *find_range(const struct wide_bind *wide, __u16 port)
{
	__u32 low = 0, high = wide->num_ranges;
	struct range *range;

	for (int i = 0; i < RANGE_SEARCH_STEPS && low < high; i++) {
		__u32 middle = (low + high) / 2;
		__u32 index = wide->first_range + middle;

		range = ranges.lookup(&index);
		if (!range)
			return NULL;
		if (port < range->port_start)
			high = middle;
		else if (port > range->port_end)
			low = middle + 1;
		else
			return &range->bind;
	}
	return NULL;
}

__inline struct bind *find_wide_bind(const struct packet *pkt, __u32 generation)
{
	struct wide_key key = {
		.prefix_len = 8 * (sizeof(key) - sizeof(key.prefix_len)),
		.generation = generation,
		.fragment = pkt->kind == KIND_FRAGMENT,
		.protocol = pkt->flow.protocol,
		.family = pkt->flow.family,
	};
	struct wide_bind *wide;

	__builtin_memcpy(key.address, pkt->flow.dst, sizeof(key.address));
	wide = wide_binds.lookup(&key);
	if (!wide)
		return NULL;
	return find_range(wide, bpf_ntohs(pkt->flow.dst_port));
}

/* A bind of one address and one port is found at once, and beats all others. */
__inline struct bind *find_bind(const struct settings *settings, const struct packet *pkt, __u32 generation)
{
	struct bind_key key = {
		.port = pkt->flow.dst_port,
		.protocol = pkt->flow.protocol,
		.family = pkt->flow.family,
		.generation = generation,
		.fragment = pkt->kind == KIND_FRAGMENT,
	};
	struct bind *bind;

	__builtin_memcpy(key.address, pkt->flow.dst, sizeof(key.address));
	bind = binds.lookup(&key);
	if (likely(bind) || !(settings->flags & WIDE_BINDS))
		return bind;
	return find_wide_bind(pkt, generation);
}
