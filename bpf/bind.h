/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Finding the bind of a flow. */
#pragma once

#include "director_maps.h"
#include "martian.h"
#include "packet.h"

/* The intervals are disjoint and ascending, at most 65,536 of them. */
#define RANGE_SEARCH_STEPS 17

__inline struct bind *bind_at(__u32 index)
{
	return binds.lookup(&index);
}

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
			return bind_at(range->bind);
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

/* Odd numbers without a pattern (digits of pi). glb/datapath/cuckoo.py has the same. */
#define HASH_1 0x243f6a8885a308d3ULL
#define HASH_2 0x13198a2e03707345ULL
#define HASH_3 0xa4093822299f31d1ULL

#define PLACE_SHIFT (64 - __builtin_ctzll(MAX_BINDS))

/* The fields of a key after the address, as one word of 32 bits. */
__inline __u64 selector_of(const struct packet *pkt)
{
	__u64 fragments = pkt->kind == KIND_FRAGMENT ? FRAGMENTS : 0;

	return pkt->flow.dst_port | pkt->flow.protocol << 16 | (fragments | pkt->flow.family) << 24;
}

/* Multiply-shift: the highest bits of a product depend on all others. An IPv4 address and the selector fill one
 * word. */
__inline __u64 hash_of(const struct flow *flow, __u64 selector, __u64 multiplier)
{
	__u64 address = flow->dst[0];

	if (flow->family == 6)
		address = (address * HASH_1 + flow->dst[1]) * HASH_2;
	return (address + (selector << 32)) * multiplier;
}

/* The selector holds the family, and an IPv4 address only the first word. */
__inline bool is_key(const struct bind_key *key, const struct flow *flow, __u64 selector)
{
	const __u64 *address = (const void *)key->address;
	const __u32 *rest = (const void *)&key->port;

	if (*rest != selector)
		return false;
	return address[0] == flow->dst[0] && (flow->family == 4 || address[1] == flow->dst[1]);
}

__inline struct bind *find_at(const struct settings *settings, const struct flow *flow, __u64 selector, __u64 hash)
{
	__u32 index = settings->first_bind + (hash >> PLACE_SHIFT);
	struct bind *bind = binds.lookup(&index);

	return likely(bind) && is_key(&bind->key, flow, selector) ? bind : NULL;
}

/* A bind of one address and one port is found by one lookup, and takes precedence over all others. */
__inline struct bind *find_bind(const struct settings *settings, const struct packet *pkt, __u64 selector)
{
	__u64 hash = hash_of(&pkt->flow, selector, settings->bind_multiplier);
	struct bind *bind;

	bind = find_at(settings, &pkt->flow, selector, hash);
	if (likely(bind))
		return bind;
	bind = find_at(settings, &pkt->flow, selector, (hash ^ hash >> 32) * HASH_3);
	if (bind || !(settings->flags & WIDE_BINDS))
		return bind;
	if (is_no_host(pkt->flow.dst, pkt->flow.family)) /* not a VIP, though a bind's network may contain it */
		return NULL;
	return find_wide_bind(pkt, settings->first_bind / MAX_BINDS);
}
