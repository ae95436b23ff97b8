/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Forwarding a packet to the next hop in the tunnel's header. */
#pragma once

#include "decapsulate.h"

/* Copies the hops at `offset` of the frame; the entries behind them are of an earlier packet. */
__inline bool read_hops(struct xdp_md *ctx, __u64 offset, __u64 count, struct hop_list *list)
{
	__u64 len = count * sizeof(__be32);

	barrier_var(len);
	len = ((len - 1) & (sizeof(list->hop) - 1)) + 1; /* not 0: verifiers before 6.8 do not track a test for 0 */
	return !bpf_xdp_load_bytes(ctx, offset, list->hop, len);
}

/* Comparisons that give 1 or 0 without a branch: the verifier would follow both sides of one. */
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

/* Whether the packet was at this hop before: the hop is the outer source, or an earlier hop in the list. With
 * `alt_hash_fields`, a list of two rows may name a hop twice. */
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

/* The position of the first hop that was not tried; MAX_HOPS if there is none. */
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

/* 0/8, 127/8, multicast and higher addresses are not those of hosts on the wire. */
__inline bool is_host_address(__be32 address)
{
	__u8 first = address; /* the lowest byte is sent first */

	return first != 0 && first != 127 && first < 224;
}

/* The outer packet's source becomes this proxy, and its destination the hop at `position`. The old destination is the
 * new source, so only the old source and the new destination change the sums. */
__inline void readdress(struct tunnel *t, __be32 hop, __u64 position)
{
	__u32 before = sum_of_be32(t->ip.saddr);
	__u32 after = sum_of_be32(hop);
	__u32 old_step = t->glb.next_hop, new_step = position + 1; /* the low bytes of words in memory */

	t->ip.check = checksum_replace(t->ip.check, before, after);
	if (t->udp.check) {
		__sum16 check = checksum_replace(t->udp.check, before + old_step, after + new_step);

		t->udp.check = check ? check : 0xffff;
	}
	t->ip.saddr = t->ip.daddr;
	t->ip.daddr = hop;
	t->glb.next_hop = position + 1;
}

/* The MAC to which a packet for the hop is sent; the packet is counted. Until the hop's next hop is resolved, that is
 * the router, or without one the host that delivered the packet, which may be a router. */
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

/* For a packet that no socket here knows: FORWARDED, or the verdict by which it is taken or dropped here. */
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
	barrier_var(position); /* keeps the mask, since the verifier of Linux 6.1 may have lost the test's result */
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
