/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The tunnel's end: recognising and removing its headers. */
#pragma once

#include "checksum.h"
#include "gue.h"
#include "link.h"
#include "parse.h"
#include "proxy_maps.h"

/* What is kept of a tunnel's headers once they were checked. */
struct tunnel_end {
	__u64 len;	/* of all headers, hops included */
	__be32 address; /* the outer destination */
	__u8 protocol;
	__u8 tos;
};

__inline bool is_tunnel(const struct link *link, const struct tunnel *t)
{
	return link->protocol == ETHERTYPE_IPV4 && t->ip.version == 4 && t->ip.ihl == 5 && !is_fragment(&t->ip) &&
	       t->ip.protocol == IPPROTO_UDP && t->udp.dest == GUE_PORT;
}

__inline bool lengths_agree(struct xdp_md *ctx, struct cursor *c, const struct tunnel *t)
{
	__u64 len = bpf_ntohs(t->ip.tot_len);
	__s64 padding;

	return len == bpf_ntohs(t->udp.len) + sizeof(t->ip) && hold_to_length(ctx, c, t, len, &padding);
}

__inline bool is_glb_gue(const struct tunnel *t)
{
	return t->gue.version == 0 && !t->gue.control && t->gue.flags == 0 && t->glb.type == 0 &&
	       (t->gue.protocol == IPPROTO_IPIP || t->gue.protocol == IPPROTO_IPV6);
}

__inline bool is_address_of_host(const struct proxy_settings *settings, __be32 address)
{
	return address == settings->address || addresses.lookup(&address);
}

/* A packet for another proxy may pass here, for instance if this host is the gateway of a proxy that has not resolved
 * the next hop yet. */
__inline bool ends_here(const struct proxy_settings *settings, const struct tunnel *t)
{
	return !settings->check_addresses || is_address_of_host(settings, t->ip.daddr);
}

/* PACKET_HOST in the kernel's terms. Frames for other MACs arrive on promiscuous ports and from flooding switches:
 * another host receives them too, or this host's stack passes them to a macvlan. */
__inline bool is_for_this_mac(const struct proxy_settings *settings, const struct link *link)
{
	return link->destination == settings->macs[0] || link->destination == settings->macs[1];
}

__inline bool is_in_networks(const struct proxy_settings *settings, __be32 address)
{
	struct network_key key = {
		.prefix_len = 32,
		.address = address,
	};

#pragma unroll
	for (int i = 0; i < FIRST_NETWORKS; i++) {
		if ((address & settings->first_networks[i].mask) == settings->first_networks[i].address)
			return true;
	}
	return networks.lookup(&key);
}

__inline bool is_from_configured_source(const struct proxy_settings *settings, const struct tunnel *t)
{
	return !settings->check_sources || is_in_networks(settings, t->ip.saddr);
}

/* Whether the frame holds the IP and UDP headers by which a tunnel is recognised. */
__inline bool shows_udp(const struct cursor *c)
{
	return c->pos + sizeof(struct iphdr) + sizeof(struct udphdr) <= c->end;
}

/* Moves the cursor to the inner packet. */
__inline enum verdict parse_tunnel(struct xdp_md *ctx, const struct proxy_settings *settings, const struct link *link,
				   struct cursor *c, struct tunnel_end *end)
{
	struct tunnel *t = c->pos;
	__u64 hops_len;

	if (!shows_udp(c) || !is_tunnel(link, t) || !ends_here(settings, t))
		return PASS_NOT_TUNNEL;
	if (!is_for_this_mac(settings, link))
		return PASS_OTHER_HOST;
	t = advance(c, sizeof(*t));
	if (!t || !lengths_agree(ctx, c, t) || !is_glb_gue(t))
		return DROP_BAD_TUNNEL;
	if (t->gue.hlen != 1 + t->glb.hop_count || t->glb.hop_count > MAX_HOPS)
		return DROP_BAD_HOPS;
	hops_len = t->glb.hop_count * sizeof(__be32);
	end->len = sizeof(*t) + hops_len;
	end->address = t->ip.daddr;
	end->protocol = t->gue.protocol;
	end->tos = t->ip.tos;
	if (!advance_bounded(c, hops_len, 127))
		return DROP_BAD_HOPS;
	return is_from_configured_source(settings, t) ? CONTINUE : DROP_FOREIGN_SOURCE;
}

/* Explicit congestion notification, RFC 3168 and RFC 6040. */
#define ECN_MASK 0x03
#define ECN_NOT_ECT 0
#define ECN_ECT_1 1
#define ECN_ECT_0 2
#define ECN_CE 3

/* Combines the ECN fields into the inner packet's; DROP_CONGESTION if that cannot express CE (RFC 6040). */
__inline enum verdict combine_ecn(__u8 outer_tos, __u8 *inner_tos)
{
	__u8 outer = outer_tos & ECN_MASK, inner = *inner_tos & ECN_MASK;

	if (outer == ECN_CE && inner == ECN_NOT_ECT)
		return DROP_CONGESTION;
	if (outer == ECN_CE || (outer == ECN_ECT_1 && inner == ECN_ECT_0))
		*inner_tos = (*inner_tos & ~ECN_MASK) | outer;
	return CONTINUE;
}

__inline enum verdict set_ipv4_ecn(struct cursor *c, __u8 outer_tos)
{
	struct iphdr *ip = parse_ipv4(c);
	__u16 before, after;
	__u8 tos;

	if (!ip)
		return DROP_BAD_INNER;
	tos = ip->tos;
	if (combine_ecn(outer_tos, &tos))
		return DROP_CONGESTION;
	if (tos == ip->tos)
		return CONTINUE;
	before = *(__u16 *)ip;
	ip->tos = tos;
	after = *(__u16 *)ip;
	ip->check = checksum_replace(ip->check, before, after);
	return CONTINUE;
}

__inline enum verdict set_ipv6_ecn(struct cursor *c, __u8 outer_tos)
{
	struct ipv6hdr *ip = parse_ipv6(c);
	__u8 tos;

	if (!ip)
		return DROP_BAD_INNER;
	tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	if (combine_ecn(outer_tos, &tos))
		return DROP_CONGESTION;
	ip->priority = tos >> 4;
	ip->flow_lbl[0] = (ip->flow_lbl[0] & 0x0f) | tos << 4;
	return CONTINUE;
}

__inline enum verdict decapsulate(struct xdp_md *ctx, const struct link *link, const struct tunnel_end *end,
				  enum verdict taken)
{
	__be16 protocol = end->protocol == IPPROTO_IPIP ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
	struct cursor c = cursor_of(ctx), to = c;
	struct ethhdr *eth, *old = advance(&c, sizeof(*old));
	enum verdict verdict;

	if (!old || !advance_bounded(&to, end->len, 127))
		return DROP_NO_ROOM;
	eth = write_link(&to, cursor_of(ctx), 0, link, protocol);
	if (!eth)
		return DROP_NO_ROOM;
	write_macs(eth, link->destination, source_mac(old));
	if (bpf_xdp_adjust_head(ctx, end->len))
		return DROP_NO_ROOM;
	if (likely(!(end->tos & ECN_ECT_1))) /* neither ECT(1) nor CE: nothing to copy */
		return taken;
	c = cursor_of(ctx);
	if (!advance_bounded(&c, link->len, 31))
		return DROP_NO_ROOM;
	verdict = end->protocol == IPPROTO_IPIP ? set_ipv4_ecn(&c, end->tos) : set_ipv6_ecn(&c, end->tos);
	return verdict ? verdict : taken;
}
