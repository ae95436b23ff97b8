/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Writing the link's header anew where a frame's start has moved: VLAN tags are kept. */
#pragma once

#include "parse.h"

__inline __u64 tags_of(const struct link *link)
{
	return (link->len - sizeof(struct ethhdr)) / sizeof(struct vlan_tag);
}

/* Writes all but the MACs, and moves the cursor behind it. NULL if there is no room. */
__inline struct ethhdr *write_link(struct cursor *c, const struct link *link, __be16 protocol)
{
	struct ethhdr *eth = advance(c, sizeof(*eth));
	__u64 tags = tags_of(link);
	struct vlan_tag *tag;

	if (!eth)
		return NULL;
	*((__be16 *)eth + ETH_ALEN) = tags ? link->outer : protocol;
#pragma unroll
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		if (likely(i >= tags))
			break;
		tag = advance(c, sizeof(*tag));
		if (!tag)
			return NULL;
		tag->control = link->tag[i].control;
		tag->protocol = i + 1 < tags ? link->tag[i].protocol : protocol;
	}
	return eth;
}

/* Back to where the frame came from. */
__inline void exchange_macs(struct ethhdr *eth)
{
	write_macs(eth, source_mac(eth), destination_mac(eth));
}
