/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The tunnel's headers in front of the client's packet. */
#pragma once

#include "checksum.h"
#include "choose.h"
#include "gue.h"
#include "link.h"

#define IPV4_DONT_FRAGMENT __constant_htons(0x4000)
#define TUNNEL_TTL 64
#define TUNNEL_PORT_BASE 0x8000
#define TUNNEL_PORT_MASK 0x7fff
#define ECN_MASK 0x03

/* AF_INET, which no UAPI header of the kernel defines. */
#define FIB_FAMILY_IPV4 2

__inline __u64 tunnel_length(__u64 hops)
{
	return sizeof(struct tunnel) + (hops - 1) * sizeof(__be32);
}

/* One flow keeps one source port, so that ECMP and RSS on the way keep it in order. */
__inline __be16 tunnel_source_port(const struct packet *pkt, const struct hops *hops)
{
	return bpf_htons(TUNNEL_PORT_BASE | ((hops->hash ^ bpf_ntohs(pkt->entropy)) & TUNNEL_PORT_MASK));
}

/* Two neighbouring fields of a header as one word. */
__inline __u64 pair(__u64 first, __u64 second)
{
	return first | second << 16;
}

/* struct tunnel a word at a time: as many writes as the fields would take cost more than all else here. */
__inline void write_tunnel(struct tunnel *t, const struct settings *settings, const struct packet *pkt,
			   const struct hops *hops)
{
	__u8 tos = pkt->tos & (settings->flags & COPY_DSCP ? 0xff : ECN_MASK);
	__u8 protocol = pkt->flow.family == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	__u64 further_hops = hops->count - 1;
	__u64 len = tunnel_length(hops->count) + pkt->len;
	__u64 version_to_length = pair(0x45 | tos << 8, bpf_htons(len));
	__u64 id_and_fragment = pair(0, IPV4_DONT_FRAGMENT);
	__u64 ttl_and_protocol = TUNNEL_TTL | IPPROTO_UDP << 8;
	__u64 sum = version_to_length + id_and_fragment + ttl_and_protocol + settings->source +
		    hops->first->address;
	__u32 *word = (__u32 *)t;

	word[0] = version_to_length;
	word[1] = id_and_fragment;
	word[2] = pair(ttl_and_protocol, checksum_of_words(sum));
	word[3] = settings->source;
	word[4] = hops->first->address;
	word[5] = pair(tunnel_source_port(pkt, hops), GUE_PORT);
	word[6] = bpf_htons(len - sizeof(struct iphdr)); /* and no checksum */
	word[7] = (1 + further_hops) | protocol << 8;	 /* GUE version 0, no flags */
	word[8] = further_hops << 24;			 /* type 0, next_hop 0 */
}

/* Writes the hops of a row from number `from` on. */
__inline bool write_row(struct cursor *c, const struct state *now, const struct hops *hops, const struct row *row,
			int from)
{
	__be32 *hop;

#pragma unroll
	for (int i = from; i < MAX_ROW_HOPS; i++) {
		if (i >= hops->per_row)
			return true;
		hop = advance(c, sizeof(*hop));
		if (!hop)
			return false;
		*hop = find_backend(now, hops, row, i)->address;
	}
	return true;
}

/* The first one is the outer destination, and is not in the list. */
__inline bool write_hops(struct cursor *c, const struct state *now, const struct hops *hops)
{
	if (!write_row(c, now, hops, &hops->row, 1))
		return false;
	return likely(hops->count == hops->per_row) || write_row(c, now, hops, &hops->alternative, 0);
}

/* Takes off what the link added behind a short packet. */
__inline bool cut_padding(struct xdp_md *ctx, const struct packet *pkt)
{
	return likely(pkt->padding <= 0) || !bpf_xdp_adjust_tail(ctx, -pkt->padding);
}

/* Out by whichever interface the kernel's routes name. */
__inline enum verdict route(struct xdp_md *ctx, const struct settings *settings, const struct packet *pkt,
			    const struct hops *hops, struct ethhdr *eth)
{
	struct bpf_fib_lookup fib = {
		.family = FIB_FAMILY_IPV4,
		.l4_protocol = IPPROTO_UDP,
		.tot_len = tunnel_length(hops->count) + pkt->len,
		.ifindex = ctx->ingress_ifindex,
		.ipv4_src = settings->source,
		.ipv4_dst = hops->first->address,
	};

	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return DROP_NO_ROUTE;
	__builtin_memcpy(eth->h_dest, fib.dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, fib.smac, ETH_ALEN);
	if (fib.ifindex == ctx->ingress_ifindex)
		return ENCAPSULATED;
	bpf_redirect(fib.ifindex, 0);
	return REDIRECTED;
}

/* To be called before the hops are chosen: the processor moves the head while it still hashes. */
__inline bool make_room(struct xdp_md *ctx, const struct packet *pkt, __u64 tunnel_len)
{
	return cut_padding(ctx, pkt) && !bpf_xdp_adjust_head(ctx, -(int)tunnel_len);
}

__inline enum verdict encapsulate(struct xdp_md *ctx, const struct state *now, const struct settings *settings,
				  const struct link *link, const struct packet *pkt, const struct hops *hops)
{
	struct cursor c = cursor_of(ctx);
	struct ethhdr *eth = write_link(&c, link, ETHERTYPE_IPV4);
	struct tunnel *tunnel = advance(&c, sizeof(*tunnel));

	if (!eth || !tunnel || !write_hops(&c, now, hops))
		return DROP_NO_HEADROOM;
	write_tunnel(tunnel, settings, pkt, hops);
	if (unlikely(settings->flags & EGRESS_FIB))
		return route(ctx, settings, pkt, hops, eth);
	if (unlikely(!hops->first->next_hop_mac))
		return DROP_NO_NEXT_HOP;
	write_macs(eth, hops->first->next_hop_mac, settings->mac);
	return ENCAPSULATED;
}
