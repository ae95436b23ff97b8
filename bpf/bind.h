/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* From a flow to its bind. */
#pragma once

#include "director_maps.h"
#include "packet.h"

/* The intervals are disjoint and ascending, at most 65,536 of them. */
#define RANGE_SEARCH_STEPS 17

__inline struct bind *bind_at(__u32 index)
{
	struct bind_entry *entry = binds.lookup(&index);

	return entry ? &entry->bind : NULL;
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

/* Multipliers of a multiply-shift hash: odd, and without a pattern (digits of pi). glb/datapath/cuckoo.py has the same. */
#define HASH_1 0x243f6a8885a308d3ULL
#define HASH_2 0x13198a2e03707345ULL
#define HASH_3 0xa4093822299f31d1ULL
#define HASH_4 0x082efa98ec4e6c89ULL

/* A bind's key in three words, as they stand in struct bind_key. */
struct key_words {
	__u64 word[3];
};

__inline struct key_words key_of(const struct packet *pkt)
{
	const struct flow *flow = &pkt->flow;
	struct key_words key = {
		.word[0] = flow->dst[0],
		.word[1] = flow->dst[1],
		.word[2] = flow->dst_port | flow->protocol << 16 | (__u64)flow->family << 24 |
			   (__u64)(pkt->kind == KIND_FRAGMENT) << 32,
	};

	return key;
}

__inline __u64 hash_of(const struct key_words *key, __u64 seed)
{
	__u64 hash = seed + key->word[0] * HASH_1 + key->word[1] * HASH_2 + key->word[2] * HASH_3;

	return (hash ^ hash >> 32) * HASH_4;
}

__inline struct bind *find_at(const struct settings *settings, const struct key_words *key, __u32 place)
{
	__u32 index = settings->first_bind + (place & (MAX_BINDS - 1));
	struct bind_entry *entry = binds.lookup(&index);
	const __u64 *there = (const void *)entry;

	if (unlikely(!entry) || there[0] != key->word[0] || there[1] != key->word[1] || there[2] != key->word[2])
		return NULL;
	return &entry->bind;
}

/* A bind of one address and one port is found at once, and beats all others. */
__inline struct bind *find_bind(const struct settings *settings, const struct packet *pkt)
{
	struct key_words key = key_of(pkt);
	__u64 hash = hash_of(&key, settings->bind_seed);
	struct bind *bind;

	bind = find_at(settings, &key, hash >> 32);
	if (likely(bind))
		return bind;
	bind = find_at(settings, &key, hash);
	if (bind || !(settings->flags & WIDE_BINDS))
		return bind;
	return find_wide_bind(pkt, settings->first_bind / MAX_BINDS);
}
