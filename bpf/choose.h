/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* From a bind to the hops of the flow: hash, row, backends. */
#pragma once

#include "classify.h"
#include "siphash.h"

struct hops {
	__be32 address[MAX_HOPS];
	__u32 count;
	__u8 next_hop_mac[ETH_ALEN]; /* on the way to the first one */
	__u64 hash;
};

__inline __u32 words_of(const struct flow *flow)
{
	return flow->family == 4 ? 1 : 4;
}

__inline void absorb_address(struct siphash *s, const struct flow *flow, const __be32 *address)
{
	siphash_absorb(s, address[0], 4);
	if (flow->family == 4)
		return;
	siphash_absorb(s, address[1], 4);
	siphash_absorb(s, address[2], 4);
	siphash_absorb(s, address[3], 4);
}

__inline __u64 flow_hash(const struct bind *bind, const struct flow *flow, __u32 fields)
{
	struct siphash s = siphash_start(bind->hash_key[0], bind->hash_key[1]);

	if (fields & HASH_SRC_ADDR)
		absorb_address(&s, flow, flow->src);
	if (fields & HASH_DST_ADDR)
		absorb_address(&s, flow, flow->dst);
	if (fields & HASH_SRC_PORT)
		siphash_absorb(&s, flow->src_port, 2);
	if (fields & HASH_DST_PORT)
		siphash_absorb(&s, flow->dst_port, 2);
	return siphash_finish(&s);
}

/* Appends the hops of one slot; false at its end, or the row's. */
__inline bool add_slot(struct hops *hops, const struct bind *bind, __u32 index)
{
	struct slot *slot = rows.lookup(&index);
	struct backend *backend;

	if (!slot)
		return false;
#pragma unroll
	for (int i = 0; i < HOPS_PER_SLOT; i++) {
		__u32 at = bind->first_backend + slot->backend[i];

		if (slot->backend[i] == NO_HOP || hops->count >= MAX_HOPS)
			return false;
		backend = backends.lookup(&at);
		if (!backend)
			return false;
		if (hops->count == 0)
			__builtin_memcpy(hops->next_hop_mac, backend->next_hop_mac, ETH_ALEN);
		hops->address[hops->count++] = backend->address;
	}
	return true;
}

__inline void add_row(struct hops *hops, const struct bind *bind, __u64 hash)
{
	__u32 index = bind->first_row + (hash & (ROWS_PER_TABLE - 1)) * bind->slots_per_row;

	if (add_slot(hops, bind, index) && bind->slots_per_row > 1)
		add_slot(hops, bind, index + 1);
}

__inline enum verdict choose(const struct settings *settings, const struct bind *bind, const struct flow *flow,
			     struct hops *hops)
{
	hops->count = 0;
	hops->hash = flow_hash(bind, flow, settings->hash_fields);
	add_row(hops, bind, hops->hash);
	if (unlikely(settings->alt_hash_fields))
		add_row(hops, bind, flow_hash(bind, flow, settings->alt_hash_fields));
	return hops->count ? CONTINUE : DROP_NO_BACKEND;
}
