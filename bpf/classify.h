/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* From a frame to the flow it belongs to, and from the flow to its bind. */
#pragma once

#include "director_maps.h"
#include "parse.h"

/* A connection as the client's packets show it: dst is the bind's address. Filled as bind_key's addresses are. */
struct flow {
	__be32 src[4];
	__be32 dst[4];
	__be16 src_port;
	__be16 dst_port;
	__be16 entropy; /* what the tunnel's source port takes from the packet beside the hash */
	__u8 protocol;
	__u8 family;
};

struct packet {
	struct flow flow;
	__u32 inner_len; /* of the IP packet, without what the link adds as padding */
};

__inline void set_ipv4(__be32 *address, __be32 value)
{
	address[0] = value;
	address[1] = address[2] = address[3] = 0;
}

__inline void set_ipv6(__be32 *address, const struct in6_addr *value)
{
	__builtin_memcpy(address, value, sizeof(*value));
}

__inline enum verdict parse_ports(struct cursor *c, struct flow *flow, __u32 header_len)
{
	struct quoted_l4 *l4 = advance(c, header_len);

	if (!l4)
		return DROP_BAD_L4;
	flow->src_port = l4->source;
	flow->dst_port = l4->dest;
	flow->entropy = l4->source;
	return CONTINUE;
}

/* The quoted packet went the other way: it is reversed, so that its destination is the client. */
__inline enum verdict parse_quoted_ports(struct cursor *c, struct flow *flow)
{
	struct quoted_l4 *l4;

	if (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP)
		return PASS_NO_BIND;
	l4 = parse_quoted_l4(c);
	if (!l4)
		return DROP_BAD_ICMP_QUOTE;
	flow->src_port = l4->dest;
	flow->dst_port = l4->source;
	flow->entropy = l4->dest;
	return CONTINUE;
}

__inline enum verdict parse_ipv4_quote(struct cursor *c, struct flow *flow)
{
	struct iphdr *ip = parse_ipv4(c);

	if (!ip)
		return DROP_BAD_ICMP_QUOTE;
	if (ip->frag_off & IPV4_FRAGMENT_OFFSET)
		return PASS_FRAGMENT;
	set_ipv4(flow->src, ip->daddr);
	set_ipv4(flow->dst, ip->saddr);
	flow->protocol = ip->protocol;
	return parse_quoted_ports(c, flow);
}

__inline enum verdict parse_ipv6_quote(struct cursor *c, struct flow *flow)
{
	struct ipv6hdr *ip = parse_ipv6(c);

	if (!ip)
		return DROP_BAD_ICMP_QUOTE;
	set_ipv6(flow->src, &ip->daddr);
	set_ipv6(flow->dst, &ip->saddr);
	flow->protocol = ip->nexthdr;
	return parse_quoted_ports(c, flow);
}

__inline enum verdict parse_icmp(struct cursor *c, struct flow *flow, const struct iphdr *ip)
{
	struct icmphdr *icmp = advance(c, sizeof(*icmp));

	if (!icmp)
		return DROP_BAD_L4;
	if (is_icmp_error(icmp->type))
		return parse_ipv4_quote(c, flow);
	if (icmp->type != ICMP_ECHO)
		return PASS_NO_BIND;
	flow->src_port = flow->dst_port = 0;
	flow->entropy = ip->id;
	return CONTINUE;
}

__inline enum verdict parse_icmpv6(struct cursor *c, struct flow *flow)
{
	struct icmp6hdr *icmp = advance(c, sizeof(*icmp));

	if (!icmp)
		return DROP_BAD_L4;
	if (is_icmpv6_error(icmp->icmp6_type))
		return parse_ipv6_quote(c, flow);
	if (icmp->icmp6_type != ICMPV6_ECHO_REQUEST)
		return PASS_NO_BIND;
	flow->src_port = flow->dst_port = 0;
	flow->entropy = icmp->icmp6_identifier;
	return CONTINUE;
}

__inline enum verdict parse_ipv4_flow(struct xdp_md *ctx, struct cursor *c, struct packet *pkt)
{
	struct iphdr *ip = parse_ipv4(c);

	if (!ip)
		return DROP_BAD_IP;
	pkt->inner_len = bpf_ntohs(ip->tot_len);
	if (!hold_to_length(ctx, c, ip, pkt->inner_len))
		return DROP_BAD_LENGTH;
	if (is_fragment(ip))
		return PASS_FRAGMENT;

	pkt->flow.family = 4;
	pkt->flow.protocol = ip->protocol;
	set_ipv4(pkt->flow.src, ip->saddr);
	set_ipv4(pkt->flow.dst, ip->daddr);
	switch (ip->protocol) {
	case IPPROTO_TCP:
		return parse_ports(c, &pkt->flow, sizeof(struct tcphdr));
	case IPPROTO_UDP:
		return parse_ports(c, &pkt->flow, sizeof(struct udphdr));
	case IPPROTO_ICMP:
		return parse_icmp(c, &pkt->flow, ip);
	default:
		return PASS_NO_BIND;
	}
}

__inline enum verdict parse_ipv6_flow(struct xdp_md *ctx, struct cursor *c, struct packet *pkt)
{
	struct ipv6hdr *ip = parse_ipv6(c);

	if (!ip)
		return DROP_BAD_IP;
	pkt->inner_len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (!hold_to_length(ctx, c, ip, pkt->inner_len))
		return DROP_BAD_LENGTH;

	pkt->flow.family = 6;
	pkt->flow.protocol = ip->nexthdr;
	set_ipv6(pkt->flow.src, &ip->saddr);
	set_ipv6(pkt->flow.dst, &ip->daddr);
	switch (ip->nexthdr) {
	case IPPROTO_TCP:
		return parse_ports(c, &pkt->flow, sizeof(struct tcphdr));
	case IPPROTO_UDP:
		return parse_ports(c, &pkt->flow, sizeof(struct udphdr));
	case IPPROTO_ICMPV6:
		return parse_icmpv6(c, &pkt->flow);
	case IPPROTO_FRAGMENT:
		return PASS_FRAGMENT;
	default:
		return PASS_NO_BIND;
	}
}

__inline enum verdict parse_flow(struct xdp_md *ctx, const struct settings *settings, struct packet *pkt)
{
	struct cursor c = cursor_of(ctx);
	struct ethhdr *eth = parse_ethernet(&c);

	if (!eth)
		return DROP_SHORT_FRAME;
	if (eth->h_proto != ETHERTYPE_IPV4 && eth->h_proto != ETHERTYPE_IPV6)
		return PASS_NOT_IP;
	if (!same_mac(eth->h_dest, settings->mac))
		return PASS_OTHER_HOST;
	if (eth->h_proto == ETHERTYPE_IPV4)
		return parse_ipv4_flow(ctx, &c, pkt);
	return parse_ipv6_flow(ctx, &c, pkt);
}

/* The last interval that starts at or below the port holds it, or none does: the intervals are disjoint. */
__inline struct bind *find_range(const struct wide_bind *wide, __u16 port)
{
	__u32 low = 0, high = wide->num_ranges;
	struct range *range;

	for (int i = 0; i < 17 && low < high; i++) {
		__u32 middle = (low + high) / 2;
		__u32 index = wide->first_range + middle;

		range = ranges.lookup(&index);
		if (!range)
			return NULL;
		if (port < range->port_start)
			high = middle;
		else if (port > range->port_end)
			low = middle + 1;
		else
			return &range->bind;
	}
	return NULL;
}

__inline struct bind *find_wide_bind(const struct flow *flow, __u32 generation)
{
	struct wide_key key = {
		.prefix_len = 8 * (sizeof(key) - sizeof(key.prefix_len)),
		.generation = generation,
		.protocol = flow->protocol,
		.family = flow->family,
	};
	struct wide_bind *wide;

	__builtin_memcpy(key.address, flow->dst, sizeof(key.address));
	wide = wide_binds.lookup(&key);
	if (!wide)
		return NULL;
	return find_range(wide, bpf_ntohs(flow->dst_port));
}

/* A bind of one address and one port is found at once, and beats all others. */
__inline struct bind *find_bind(const struct settings *settings, const struct flow *flow, __u32 generation)
{
	struct bind_key key = {
		.port = flow->dst_port,
		.protocol = flow->protocol,
		.family = flow->family,
		.generation = generation,
	};
	struct bind *bind;

	__builtin_memcpy(key.address, flow->dst, sizeof(key.address));
	bind = binds.lookup(&key);
	if (likely(bind) || !settings->num_ranges)
		return bind;
	return find_wide_bind(flow, generation);
}
