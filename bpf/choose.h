/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The hops of a flow of a bind: hash, row, backends. */
#pragma once

#include "director_maps.h"
#include "packet.h"
#include "siphash.h"

/* The slots of a row, each as one word with its first hop lowest. */
struct row {
	__u64 slot[MAX_ROW_HOPS / HOPS_PER_SLOT];
};

/* With alternative hash fields, the hops of a second row follow those of the first. */
struct hops {
	struct row row, alternative;
	const struct backend *first;
	__u64 hash;	     /* its lower 16 bits */
	__u64 first_backend; /* of the table, in state.backends */
	__u64 per_row;
	__u64 count;
};

/* The common configuration is compiled separately, without the tests for all others: only the source address is hashed,
 * a row is one slot, and packets leave by the interface that they were received on. */
__inline bool is_usual(const struct settings *settings, const struct bind *bind)
{
	return !(settings->flags & UNUSUAL) && bind->hops <= HOPS_PER_SLOT;
}

/* Known before the hops are: all rows of a table have the same number. */
__inline __u64 number_of_hops(const struct settings *settings, const struct bind *bind, bool usual)
{
	return usual || !settings->alt_hash_fields ? bind->hops : 2 * bind->hops;
}

__inline void absorb_address(struct siphash *s, const struct flow *flow, const __u64 *address)
{
	if (flow->family == 4) {
		siphash_absorb(s, address[0], 4);
		return;
	}
	siphash_absorb(s, address[0], 8);
	siphash_absorb(s, address[1], 8);
}

__inline __u64 flow_hash(const struct bind *bind, const struct flow *flow, __u32 fields)
{
	struct siphash s = siphash_start(bind->hash_state);

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

__inline __u64 read_slot(__u32 index)
{
	const struct slot *slot = rows.lookup(&index);

	return likely(slot) ? *(const __u64 *)slot : 0;
}

__inline struct row read_row(const struct bind *bind, __u64 hash, bool usual)
{
	__u64 block = bind->rows * ROWS_PER_TABLE;
	struct row row = {};

	if (usual || bind->hops <= HOPS_PER_SLOT) {
		row.slot[0] = read_slot(block + hash);
		return row;
	}
	row.slot[0] = read_slot(block + 2 * hash);
	row.slot[1] = read_slot(block + 2 * hash + 1);
	return row;
}

__inline const struct backend *find_backend(const struct state *now, const struct hops *hops, const struct row *row,
					    int number)
{
	const struct backend *backends = (const void *)now->backends;
	__u64 backend = row->slot[number / HOPS_PER_SLOT] >> (16 * (number % HOPS_PER_SLOT)) & 0xffff;

	return &backends[(hops->first_backend + backend) & (MAX_BACKENDS * GENERATIONS - 1)];
}

__inline struct hops choose(const struct state *now, const struct settings *settings, const struct bind *bind,
			    const struct flow *flow, bool usual)
{
	struct hops hops;

	hops.hash = flow_hash(bind, flow, usual ? HASH_SRC_ADDR : settings->hash_fields);
	hops.first_backend = bind->first_backend;
	hops.per_row = bind->hops;
	hops.count = number_of_hops(settings, bind, usual);
	hops.row = read_row(bind, hops.hash, usual);
	hops.first = find_backend(now, &hops, &hops.row, 0);
	hops.alternative = (struct row){}; /* the verifier allows no read of what was never written */
	if (!usual && settings->alt_hash_fields)
		hops.alternative = read_row(bind, flow_hash(bind, flow, settings->alt_hash_fields), usual);
	return hops;
}

__inline __u32 row_mtu(const struct state *now, const struct hops *hops, const struct row *row, __u64 most, __u32 mtu)
{
	const struct backend *backend;

#pragma unroll
	for (__u64 i = 0; i < MAX_ROW_HOPS; i++) {
		if (i >= most || i >= hops->per_row)
			break;
		backend = find_backend(now, hops, row, i);
		if (backend->mtu < mtu)
			mtu = backend->mtu;
	}
	return mtu;
}

/* The smallest MTU of the paths to the flow's hops, since any of them may receive its packets. Only computed for
 * packets that do not fit on every path. */
__inline __u32 path_mtu(const struct state *now, const struct settings *settings, const struct bind *bind,
			const struct flow *flow, bool usual)
{
	struct hops hops = choose(now, settings, bind, flow, usual);
	__u32 mtu = row_mtu(now, &hops, &hops.row, usual ? HOPS_PER_SLOT : MAX_ROW_HOPS, hops.first->mtu);

	if (usual || !settings->alt_hash_fields)
		return mtu;
	return row_mtu(now, &hops, &hops.alternative, MAX_ROW_HOPS, mtu);
}

__inline void count_traffic(__u32 entry, __u64 bytes)
{
	struct traffic *mine = traffic.lookup(&entry);

	if (!mine)
		return;
	mine->packets++;
	mine->bytes += bytes;
}
