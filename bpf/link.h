/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Writing the link's header anew where a frame's start has moved: VLAN tags are kept. */
#pragma once

#include "parse.h"

/* A frame's tags, as they must be kept while its start moves. */
struct vlan_tags {
	struct vlan_tag tag[MAX_VLAN_TAGS];
	__be16 outer; /* the EtherType in front of the first tag */
	__u16 count;
};

/* To be called before the frame's start moves. */
__inline struct vlan_tags read_tags(const struct link *link)
{
	const struct vlan_tag *tag = (const void *)(link->eth + 1);
	struct vlan_tags tags = {
		.outer = link->eth->h_proto,
		.count = (link->len - sizeof(*link->eth)) / sizeof(*tag),
	};

	if (tags.count > 0)
		tags.tag[0] = tag[0];
	if (tags.count > 1)
		tags.tag[1] = tag[1];
	return tags;
}

/* Writes all but the MACs, and moves the cursor behind it. NULL if there is no room. */
__inline struct ethhdr *write_link(struct cursor *c, const struct vlan_tags *tags, __be16 protocol)
{
	struct ethhdr *eth = advance(c, sizeof(*eth));
	struct vlan_tag *tag;

	if (!eth)
		return NULL;
	eth->h_proto = tags->count ? tags->outer : protocol;
#pragma unroll
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		if (likely(i >= tags->count))
			break;
		tag = advance(c, sizeof(*tag));
		if (!tag)
			return NULL;
		*tag = tags->tag[i];
		if (i == tags->count - 1)
			tag->protocol = protocol;
	}
	return eth;
}

/* Back to where the frame came from. */
__inline void exchange_macs(struct ethhdr *eth)
{
	write_macs(eth, source_mac(eth), destination_mac(eth));
}
