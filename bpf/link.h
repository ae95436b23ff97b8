/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Rewriting the link's header when a frame's start moves; VLAN tags are kept. */
#pragma once

#include "parse.h"

__inline void set_ethertype(struct ethhdr *eth, __be16 protocol)
{
	*((__be16 *)eth + ETH_ALEN) = protocol;
}

/* Both cursors are behind Ethernet headers. */
__inline bool copy_tags(struct cursor *to, struct cursor *from, const struct link *link, __be16 protocol)
{
	__u64 tags = (link->len - sizeof(struct ethhdr)) / sizeof(struct vlan_tag);
	struct vlan_tag *old, *new;

	barrier_var(
		from->pos); /* else the compiler derives one bounds check from the other, which the verifier cannot */
#pragma unroll
	for (__u64 i = 0; i < MAX_VLAN_TAGS; i++) {
		if (i >= tags)
			break;
		old = advance(from, sizeof(*old));
		new = advance(to, sizeof(*new));
		if (!old || !new)
			return false;
		new->control = old->control;
		new->protocol = i + 1 < tags ? old->protocol : protocol;
	}
	return true;
}

/* Writes the link's header without the MACs and moves the cursor behind it. The tags are copied from the frame's old
 * header, `moved` bytes behind `from`. NULL if there is no room. */
__inline struct ethhdr *write_link(struct cursor *to, struct cursor from, __u64 moved, const struct link *link,
				   __be16 protocol)
{
	struct ethhdr *eth = advance(to, sizeof(*eth)), *old;

	if (!eth)
		return NULL;
	set_ethertype(eth, protocol);
	if (likely(link->len == sizeof(*eth)))
		return eth;
	if (!advance_bounded(&from, moved, 127))
		return NULL;
	old = advance(&from, sizeof(*old));
	if (!old || !copy_tags(to, &from, link, protocol))
		return NULL;
	set_ethertype(eth, ethertype(old));
	return eth;
}

/* Sends the frame back to its sender. */
__inline void exchange_macs(struct ethhdr *eth)
{
	write_macs(eth, source_mac(eth), destination_mac(eth));
}
