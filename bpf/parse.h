/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Parsing as a moving cursor: each step checks that one header lies within the frame and within its packet, moves the
 * cursor behind it and returns it, or NULL if the frame or the packet ends before. */
#pragma once

#include "types.h"

/* Everything before pos has been parsed and lies within the frame, which ends at end. `left` bytes remain of the
 * innermost packet whose length is known; padding may follow. */
struct cursor {
	void *pos;
	void *end;
	__u64 left;
};

__inline struct cursor cursor_of(struct xdp_md *ctx)
{
	struct cursor c = {
		.pos = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
		.left = ~0ULL,
	};

	return c;
}

__inline void *advance(struct cursor *c, __u64 len)
{
	void *header = c->pos;

	if (header + len > c->end || len > c->left)
		return NULL;
	if (!header)
		__builtin_unreachable(); /* so that the compiler merges the caller's test with this one */
	c->pos = header + len;
	c->left -= len;
	return header;
}

/* As advance(), for a length from the packet, which is at most `most`: one less than a power of two. */
__inline void *advance_bounded(struct cursor *c, __u64 len, __u64 most)
{
	barrier_var(len);
	return advance(c, len & most);
}

/* A MAC address in the lower six bytes of a word, in the order in which they are sent. */
#define MAC_MASK 0xffffffffffffULL

/* The Ethernet header as three words: 8, 4 and 2 bytes. */
__inline __u64 destination_mac(const struct ethhdr *eth)
{
	return *(const __u64 *)eth & MAC_MASK;
}

__inline __u64 source_mac(const struct ethhdr *eth)
{
	const __u32 *word = (const void *)eth;

	return word[1] >> 16 | (__u64)word[2] << 16;
}

/* The struct is packed, and its field would be read a byte at a time. */
__inline __be16 ethertype(const struct ethhdr *eth)
{
	return *((const __be16 *)eth + ETH_ALEN);
}

__inline void write_macs(struct ethhdr *eth, __u64 destination, __u64 source)
{
	*(__u64 *)eth = destination | source << 48;
	*((__u32 *)eth + 2) = source >> 16;
}

struct vlan_tag {
	__be16 control;
	__be16 protocol;
};

#define MAX_VLAN_TAGS 2

/* What was read of the Ethernet header and up to two VLAN tags. Without pointers, which the verifier would track. */
struct link {
	__u64 len;
	__be16 protocol; /* behind the tags */
	__u64 destination;
};

__inline bool is_vlan(__be16 protocol)
{
	return protocol == ETHERTYPE_VLAN || protocol == ETHERTYPE_QINQ;
}

/* False if the frame ends before the link's protocol is known. */
__inline bool parse_link(struct cursor *c, struct link *link)
{
	void *start = c->pos;
	struct ethhdr *eth = advance(c, sizeof(*eth));
	struct vlan_tag *tag;

	if (!eth)
		return false;
	link->protocol = ethertype(eth);
	link->destination = destination_mac(eth);
#pragma unroll
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		if (likely(!is_vlan(link->protocol)))
			break;
		tag = advance(c, sizeof(*tag));
		if (!tag)
			return false;
		link->protocol = tag->protocol;
	}
	link->len = c->pos - start;
	return true;
}

/* Version 4 and a header of 5 words. */
#define IPV4_WITHOUT_OPTIONS 0x45

/* Skips options too. NULL also for a version or header length that is invalid. */
__inline struct iphdr *parse_ipv4(struct cursor *c)
{
	struct iphdr *ip = advance(c, sizeof(*ip));

	if (!ip)
		return NULL;
	if (likely(*(const __u8 *)ip == IPV4_WITHOUT_OPTIONS))
		return ip;
	if (ip->version != 4 || ip->ihl < 5 || !advance_bounded(c, (ip->ihl - 5) * 4, 63))
		return NULL;
	return ip;
}

__inline struct ipv6hdr *parse_ipv6(struct cursor *c)
{
	struct ipv6hdr *ip = advance(c, sizeof(*ip));

	if (!ip || ip->version != 6)
		return NULL;
	return ip;
}

#define IPV4_MORE_FRAGMENTS __constant_htons(0x2000)
#define IPV4_FRAGMENT_OFFSET __constant_htons(0x1fff)
#define IPV6_MORE_FRAGMENTS __constant_htons(0x0001)
#define IPV6_FRAGMENT_OFFSET __constant_htons(0xfff8)

__inline bool is_fragment(const struct iphdr *ip)
{
	return ip->frag_off & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET);
}

/* The start of the IPv6 extension headers that are skipped; the fragment header has an offset and no length. */
struct extension {
	__u8 nexthdr;
	__u8 len; /* in units of 8 bytes, without the first */
	__be16 offset_and_more;
	__be32 rest;
};

#define MAX_EXTENSIONS 6
#define EXTENSION_MASK 2047    /* of the length of one after its first 8 bytes */
#define EXTENSIONS_MASK 0x3fff /* of the length of all */

_Static_assert(MAX_EXTENSIONS * (8 + EXTENSION_MASK) <= EXTENSIONS_MASK, "the extension headers fit under the mask");

enum extensions {
	AT_UPPER_LAYER,
	AT_FIRST_FRAGMENT, /* of a datagram that has more than one */
	AT_LATER_FRAGMENT,
	EXTENSIONS_CUT_OFF,
	TOO_MANY_EXTENSIONS,
};

__inline bool is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_FRAGMENT;
}

/* The same position, of which the verifier knows only a range behind the start. All paths to it are then equal, and the
 * verifier follows the code after it once, not for each number of headers. */
__inline void *anchored(void *start, const void *pos)
{
	__u64 distance = pos - start;

	barrier_var(distance);
	return start + (distance & EXTENSIONS_MASK);
}

/* Skips extension headers and sets the protocol of the header behind them. `fragmented`: the bits of a fragment header
 * that end the search. */
__inline enum extensions skip_extensions(struct cursor *c, __u8 *protocol, __be16 fragmented)
{
	void *start = c->pos;
	struct extension *ext;
	__u8 now;

#pragma unroll
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		now = *protocol;
		if (likely(!is_extension(now))) {
			if (i > 0)
				c->pos = anchored(start, c->pos);
			return AT_UPPER_LAYER;
		}
		ext = advance(c, sizeof(*ext));
		if (!ext)
			return EXTENSIONS_CUT_OFF;
		*protocol = ext->nexthdr;
		if (now != IPPROTO_FRAGMENT && !advance_bounded(c, ext->len * 8, EXTENSION_MASK))
			return EXTENSIONS_CUT_OFF;
		if (now == IPPROTO_FRAGMENT && ext->offset_and_more & fragmented)
			return ext->offset_and_more & IPV6_FRAGMENT_OFFSET ? AT_LATER_FRAGMENT : AT_FIRST_FRAGMENT;
	}
	c->pos = anchored(start, c->pos);
	return is_extension(*protocol) ? TOO_MANY_EXTENSIONS : AT_UPPER_LAYER;
}

/* The length of the whole frame. If it has several buffers (jumbo), only the first is between data and data_end. */
__inline __u64 frame_length(struct xdp_md *ctx)
{
	return bpf_xdp_get_buff_len(ctx);
}

__inline bool frame_holds(struct xdp_md *ctx, const void *start, __u64 len)
{
	__u64 before = start - (void *)(long)ctx->data;

	barrier_var(before); /* keeps the difference of two pointers as a number */
	return len + before <= frame_length(ctx);
}

/* Limits the cursor, which is somewhere behind the start of a packet, to the packet's own length. False if that length
 * contradicts the frame, the outer packet, or what was parsed already. The helper is called only if the first buffer
 * does not hold the whole packet. `padding`: bytes of the first buffer behind the packet, below 0 if the packet
 * continues in another buffer. */
__inline bool hold_to_length(struct xdp_md *ctx, struct cursor *c, const void *packet, __u64 len, __s64 *padding)
{
	__u64 parsed = c->pos - packet;
	__s64 held = c->end - packet;

	barrier_var(held); /* keeps the difference of two pointers as a number */
	*padding = held - len;
	if (len < parsed || len - parsed > c->left)
		return false;
	if (unlikely(*padding < 0) && !frame_holds(ctx, packet, len))
		return false;
	c->left = len - parsed;
	return true;
}
