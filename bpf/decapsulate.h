/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The tunnel's end: recognise it, take it off, or hand it on. */
#pragma once

#include "checksum.h"
#include "gue.h"
#include "parse.h"
#include "proxy_maps.h"

/* In the same position of every tunnelled frame, and checked against it. */
struct tunnel_end {
	__u32 len; /* of all headers behind Ethernet's, hops included */
	__u8 protocol;
};

__inline bool is_tunnel(const struct ethhdr *eth, const struct iphdr *ip, const struct udphdr *udp)
{
	return eth->h_proto == ETHERTYPE_IPV4 && ip->version == 4 && ip->ihl == 5 && !is_fragment(ip) &&
	       ip->protocol == IPPROTO_UDP && udp->dest == GUE_PORT;
}

__inline bool lengths_agree(struct xdp_md *ctx, const struct tunnel *t)
{
	__u32 ip_len = bpf_ntohs(t->ip.tot_len);

	return ip_len == bpf_ntohs(t->udp.len) + sizeof(t->ip) && ip_len >= TUNNEL_L3_LEN &&
	       frame_holds(ctx, &t->ip, ip_len);
}

__inline bool is_glb_gue(const struct tunnel *t)
{
	return t->gue.version == 0 && !t->gue.control && t->gue.flags == 0 && t->glb.type == 0 &&
	       (t->gue.protocol == IPPROTO_IPIP || t->gue.protocol == IPPROTO_IPV6);
}

/* Leaves the cursor at the inner packet. */
__inline enum verdict parse_tunnel(struct xdp_md *ctx, struct cursor *c, struct tunnel_end *end)
{
	struct tunnel *t = c->pos;
	struct udphdr *udp = (void *)&t->udp;

	if ((void *)(udp + 1) > c->end || !is_tunnel(&t->eth, &t->ip, udp))
		return PASS_NOT_TUNNEL;
	t = advance(c, sizeof(*t));
	if (!t || !lengths_agree(ctx, t) || !is_glb_gue(t))
		return DROP_BAD_TUNNEL;
	if (t->gue.hlen != 1 + t->glb.hop_count || t->glb.hop_count > MAX_HOPS)
		return DROP_BAD_HOPS;
	end->len = TUNNEL_L3_LEN + t->glb.hop_count * sizeof(__be32);
	end->protocol = t->gue.protocol;
	if (end->len > bpf_ntohs(t->ip.tot_len) || !advance(c, t->glb.hop_count * sizeof(__be32)))
		return DROP_BAD_HOPS;
	return CONTINUE;
}

__inline enum verdict decapsulate(struct xdp_md *ctx, const struct tunnel_end *end, enum verdict taken)
{
	struct cursor c = cursor_of(ctx);
	struct ethhdr *eth = parse_ethernet(&c);
	struct ethhdr link;

	if (!eth)
		return DROP_NO_ROOM;
	link = *eth;
	link.h_proto = end->protocol == IPPROTO_IPIP ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
	if (bpf_xdp_adjust_head(ctx, end->len))
		return DROP_NO_ROOM;
	c = cursor_of(ctx);
	eth = parse_ethernet(&c);
	if (!eth)
		return DROP_NO_ROOM;
	*eth = link;
	return taken;
}

/* The outer packet now comes from this proxy and goes to `hop`: source and destination move up by one, of which only
 * the old source and the new destination change the sums. */
__inline void readdress(struct tunnel *t, __be32 hop)
{
	__u32 before = sum_of_be32(t->ip.saddr);
	__u32 after = sum_of_be32(hop);
	__u32 next_hop_step = __constant_htons(0x0100);

	t->ip.check = checksum_replace(t->ip.check, before, after);
	if (t->udp.check) {
		__sum16 check = checksum_replace(t->udp.check, before, after + next_hop_step);

		t->udp.check = check ? check : 0xffff;
	}
	t->ip.saddr = t->ip.daddr;
	t->ip.daddr = hop;
	t->glb.next_hop++;
}

/* Sent back to the host that delivered the frame, which routes it: the proxy needs no neighbours of its own. */
__inline void return_to_sender(struct ethhdr *eth)
{
	__u8 sender[ETH_ALEN];

	__builtin_memcpy(sender, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, sender, ETH_ALEN);
}

__inline enum verdict send_on(struct xdp_md *ctx, const struct tunnel_end *end)
{
	struct cursor c = cursor_of(ctx);
	struct tunnel *t = advance(&c, sizeof(*t));
	__be32 *hop;

	if (!t)
		return DROP_BAD_TUNNEL;
	if (t->glb.next_hop >= t->glb.hop_count)
		return decapsulate(ctx, end, TAKEN_LAST_RESORT);
	hop = c.pos + t->glb.next_hop * sizeof(*hop);
	if ((void *)(hop + 1) > c.end)
		return DROP_BAD_HOPS;
	if (*hop == t->ip.daddr)
		return decapsulate(ctx, end, TAKEN_SELF);
	readdress(t, *hop);
	return_to_sender(&t->eth);
	return FORWARDED;
}
