/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Sending a packet on to the next hop that the director put in the header. */
#pragma once

#include "decapsulate.h"

/* Copies the hops that stand `offset` bytes behind the start of the frame; what the list has behind them is of an earlier
 * packet. */
__inline bool read_hops(struct xdp_md *ctx, __u64 offset, __u64 count, struct hop_list *list)
{
	__u64 len = count * sizeof(__be32);

	barrier_var(len);
	len = ((len - 1) & (sizeof(list->hop) - 1)) + 1; /* not 0, as verifiers before 6.8 would not believe a test */
	return !bpf_xdp_load_bytes(ctx, offset, list->hop, len);
}

/* Comparisons that yield 1 or 0 without a branch, of which the verifier would follow both sides. */
__inline __u64 are_equal(__u32 a, __u32 b)
{
	__u64 difference = a ^ b;

	barrier_var(difference);
	return (difference - 1) >> 63;
}

__inline __u64 is_below(__u64 a, __u64 b)
{
	__u64 difference = a - b;

	barrier_var(difference);
	return difference >> 63;
}

/* Whether a packet was at this hop before: the outer source sent it here, and the earlier hops of the list were tried or
 * passed over. The rows of two hash fields (`alt_hash_fields`) may name a hop twice. */
__inline __u64 was_tried(const struct tunnel *t, const struct hop_list *list, __u64 position)
{
	__be32 hop = list->hop[position & (MAX_HOPS - 1)];
	__u64 tried = are_equal(hop, t->ip.saddr);

	if (likely(!position))
		return tried;
#pragma unroll
	for (int i = 0; i < MAX_HOPS; i++)
		tried |= are_equal(hop, list->hop[i]) & is_below(i, position);
	return tried;
}

/* The position of the first hop that was not tried yet; MAX_HOPS if there is none. */
__inline __u64 next_untried(const struct tunnel *t, const struct hop_list *list)
{
	__u64 position = t->glb.next_hop, count = t->glb.hop_count, found = 0;

	if (likely(!was_tried(t, list, position)))
		return position;
	position = MAX_HOPS;
#pragma unroll
	for (int i = 0; i < MAX_HOPS; i++) {
		__u64 fits = is_below(i, count) & ~is_below(i, t->glb.next_hop) & ~was_tried(t, list, i) & ~found & 1;

		barrier_var(fits);
		found |= fits;
		position -= fits * (MAX_HOPS - i);
	}
	return position;
}

/* 0/8, 127/8, multicast and what lies behind it are no host's addresses on a wire. */
__inline bool is_host_address(__be32 address)
{
	__u8 first = address; /* in memory, which is little-endian */

	return first != 0 && first != 127 && first < 224;
}

/* The outer packet now comes from this proxy and goes to the hop at `position`: source and destination move up by one, of
 * which only the old source and the new destination change the sums. */
__inline void readdress(struct tunnel *t, __be32 hop, __u64 position)
{
	__u32 before = sum_of_be32(t->ip.saddr);
	__u32 after = sum_of_be32(hop);
	__u32 old_step = t->glb.next_hop, new_step = position + 1; /* the low bytes of words, as they stand in memory */

	t->ip.check = checksum_replace(t->ip.check, before, after);
	if (t->udp.check) {
		__sum16 check = checksum_replace(t->udp.check, before + old_step, after + new_step);

		t->udp.check = check ? check : 0xffff;
	}
	t->ip.saddr = t->ip.daddr;
	t->ip.daddr = hop;
	t->glb.next_hop = position + 1;
}

/* Counts the packet, too. Until the MAC on the way to a hop is known, its packets go to the router; where there is none,
 * back to the host that delivered them, which may be one. */
__inline __u64 mac_towards(const struct proxy_settings *settings, __be32 hop, const struct ethhdr *eth)
{
	struct next_hop *known = next_hops.lookup(&hop);
	__u64 *wanted, first = 1;

	if (likely(known)) {
		known->packets++;
		return known->mac;
	}
	wanted = wanted_hops.lookup(&hop);
	if (wanted)
		__sync_fetch_and_add(wanted, 1);
	else
		wanted_hops.update(&hop, &first);
	return settings->gateway_mac ? settings->gateway_mac : source_mac(eth);
}

/* Where no socket here knows the packet: FORWARDED, or why it is taken or dropped here. */
__inline enum verdict send_on(struct xdp_md *ctx, const struct proxy_settings *settings, const struct link *link)
{
	struct cursor c = cursor_of(ctx);
	struct ethhdr *eth = advance(&c, sizeof(*eth));
	struct hop_list *list;
	struct tunnel *tunnel;
	__u64 position;
	int zero = 0;
	__be32 hop;

	if (!eth || !advance_bounded(&c, link->len - sizeof(*eth), 15))
		return DROP_BAD_TUNNEL;
	tunnel = advance(&c, sizeof(*tunnel));
	if (!tunnel)
		return DROP_BAD_TUNNEL;
	if (tunnel->glb.next_hop >= tunnel->glb.hop_count)
		return TAKEN_LAST_RESORT;
	list = hop_list.lookup(&zero);
	if (!list || !read_hops(ctx, link->len + sizeof(*tunnel), tunnel->glb.hop_count, list))
		return DROP_BAD_HOPS;
	position = next_untried(tunnel, list);
	if (position >= MAX_HOPS)
		return TAKEN_LAST_RESORT;
	hop = list->hop[position & (MAX_HOPS - 1)];
	if (hop == tunnel->ip.daddr)
		return TAKEN_SELF;
	if (!is_host_address(hop))
		return DROP_FOREIGN_HOP;
	if (is_address_of_host(settings, hop))
		return TAKEN_SELF;
	if (!is_in_networks(settings, hop))
		return DROP_FOREIGN_HOP;
	readdress(tunnel, hop, position);
	write_macs(eth, mac_towards(settings, hop, eth), link->destination);
	return FORWARDED;
}
