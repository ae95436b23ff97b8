/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Parsing as a moving cursor: each step checks that one header lies within the frame and within the packet that it
 * belongs to, moves the cursor behind it and returns it, or NULL where one of the two ends first. */
#pragma once

#include "types.h"

/* Everything before pos has been parsed and lies within the frame, which ends at end. Of the innermost packet that has
 * told its length, `left` bytes are still to come; behind them may be padding. */
struct cursor {
	void *pos;
	void *end;
	__u32 left;
};

__inline struct cursor cursor_of(struct xdp_md *ctx)
{
	struct cursor c = {
		.pos = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
		.left = ~0U,
	};

	return c;
}

__inline void *advance(struct cursor *c, __u32 len)
{
	void *header = c->pos;

	if (header + len > c->end || len > c->left)
		return NULL;
	c->pos = header + len;
	c->left -= len;
	return header;
}

__inline struct ethhdr *parse_ethernet(struct cursor *c)
{
	return advance(c, sizeof(struct ethhdr));
}

__inline bool same_mac(const __u8 *a, const __u8 *b)
{
	const __u16 *x = (const void *)a, *y = (const void *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

/* Moves over the options too. NULL also for a version or header length that no IPv4 packet has. */
__inline struct iphdr *parse_ipv4(struct cursor *c)
{
	struct iphdr *ip = advance(c, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return NULL;
	if (!advance(c, ip->ihl * 4 - sizeof(*ip)))
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

__inline bool is_fragment(const struct iphdr *ip)
{
	return ip->frag_off & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET);
}

/* Whether the frame holds `len` bytes from `start` on. A frame in several buffers (jumbo) shows only its first one
 * between data and data_end; only then the helper is asked for the whole. */
__inline bool frame_holds(struct xdp_md *ctx, const void *start, __u32 len)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;

	if (likely(len <= (__u32)(data_end - start)))
		return true;
	return len <= bpf_xdp_get_buff_len(ctx) - (__u32)(start - data);
}

/* Holds the cursor, which stands somewhere behind the start of a packet, to the packet's own length. False if that
 * is contradicted by the frame, or by what was parsed already. */
__inline bool hold_to_length(struct xdp_md *ctx, struct cursor *c, const void *packet, __u32 len)
{
	__u32 parsed = c->pos - packet;

	if (len < parsed || !frame_holds(ctx, packet, len))
		return false;
	c->left = len - parsed;
	return true;
}

/* The errors that concern a connection: they quote the packet that caused them. */
__inline bool is_icmp_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

__inline bool is_icmpv6_error(__u8 type)
{
	return type == ICMPV6_DEST_UNREACH || type == ICMPV6_PKT_TOOBIG || type == ICMPV6_TIME_EXCEED ||
	       type == ICMPV6_PARAMPROB;
}

/* What an ICMP error quotes of TCP and UDP alike: the ports stand first (RFC 792 promises 8 bytes). */
struct quoted_l4 {
	__be16 source;
	__be16 dest;
	__be32 rest;
};

__inline struct quoted_l4 *parse_quoted_l4(struct cursor *c)
{
	return advance(c, sizeof(struct quoted_l4));
}
