/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* From a bind to the hops of the flow: hash, row, backends. */
#pragma once

#include "director_maps.h"
#include "packet.h"
#include "siphash.h"

/* A row, and with alternative hash fields a second one, as the slots they consist of. */
#define MAX_SLOTS_OF_FLOW (MAX_HOPS / HOPS_PER_SLOT)
#define EMPTY_SLOT (~0ULL)

struct hops {
	__u64 slot[MAX_SLOTS_OF_FLOW]; /* as word_of gives them; EMPTY_SLOT where there is none */
	const struct backend *first;
	__u64 hash;
	__u64 first_backend; /* of the table, in state.backends */
	__u64 count;
};

__inline void absorb_address(struct siphash *s, const struct flow *flow, const __u64 *address)
{
	if (flow->family == 4) {
		siphash_absorb(s, address[0], 4);
		return;
	}
	siphash_absorb(s, address[0], 8);
	siphash_absorb(s, address[1], 8);
}

__inline __u64 hash_chosen_fields(const struct bind *bind, const struct flow *flow, __u32 fields)
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

/* The default choice is made by nearly everyone: with the fields known, the compiler leaves no branch in it. */
__inline __u64 flow_hash(const struct bind *bind, const struct flow *flow, __u32 fields)
{
	if (likely(fields == HASH_SRC_ADDR))
		return hash_chosen_fields(bind, flow, HASH_SRC_ADDR);
	return hash_chosen_fields(bind, flow, fields);
}

/* A slot as one word, its first hop lowest. Backends' numbers are below 0x8000, so NO_HOP is told by its highest bit. */
__inline __u64 word_of(const struct slot *slot)
{
	return *(const __u64 *)slot;
}

__inline __u64 hop_of(__u64 slot, int at)
{
	return slot >> (16 * at) & 0xffff;
}

__inline bool is_no_hop(__u64 hop)
{
	return hop & 0x8000;
}

/* Without a branch, which would double the verifier's work with each hop: the multiplication adds up the four bits. */
__inline __u64 hops_in(__u64 slot)
{
	__u64 missing = slot >> 15 & 0x0001000100010001ULL;

	return HOPS_PER_SLOT - (missing * 0x0001000100010001ULL >> 48);
}

__inline const struct backend *find_backend(const struct state *now, const struct hops *hops, __u64 number)
{
	return &now->backends[(hops->first_backend + number) & (MAX_BACKENDS * GENERATIONS - 1)];
}

__inline void add_slot(struct hops *hops, __u32 at, __u32 index)
{
	const struct slot *slot = rows.lookup(&index);

	if (unlikely(!slot))
		return;
	hops->slot[at] = word_of(slot);
	hops->count += hops_in(hops->slot[at]);
}

__inline void add_row(struct hops *hops, __u32 at, const struct bind *bind, __u64 hash)
{
	__u32 index = bind->first_row + (hash & (ROWS_PER_TABLE - 1)) * bind->slots_per_row;

	add_slot(hops, at, index);
	if (unlikely(bind->slots_per_row > 1))
		add_slot(hops, at + 1, index + 1);
}

__inline enum verdict choose(const struct state *now, const struct settings *settings, const struct bind *bind,
			     const struct flow *flow, struct hops *hops)
{
	hops->count = 0;
	hops->slot[0] = hops->slot[1] = hops->slot[2] = hops->slot[3] = EMPTY_SLOT;
	hops->hash = flow_hash(bind, flow, settings->hash_fields);
	hops->first_backend = bind->first_backend;
	add_row(hops, 0, bind, hops->hash);
	if (unlikely(settings->alt_hash_fields))
		add_row(hops, 2, bind, flow_hash(bind, flow, settings->alt_hash_fields));
	if (!hops->count)
		return DROP_NO_BACKEND;
	hops->first = find_backend(now, hops, hop_of(hops->slot[0], 0));
	return CONTINUE;
}

__inline void count_traffic(__u32 entry, __u64 bytes)
{
	struct traffic *mine = traffic.lookup(&entry);

	if (!mine)
		return;
	mine->packets++;
	mine->bytes += bytes;
}
