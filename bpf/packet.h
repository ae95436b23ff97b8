/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Finding the flow of an IP packet. Both programs use these rules: docs/datapath.md. */
#pragma once

#include "parse.h"

enum kind {
	KIND_TCP,
	KIND_UDP,
	KIND_ECHO,
	KIND_ICMP_ERROR,       /* about TCP, UDP or an echo reply: the flow is the quoted packet's, reversed */
	KIND_FRAGMENT,	       /* of TCP or UDP: the flow has no ports */
	KIND_ICMP_FRAGMENT,    /* of an echo, or of ICMP of unknown type */
	KIND_STRANGE_FRAGMENT, /* of an unknown flow */
	KIND_OTHER,
};

enum fault {
	NO_FAULT,
	BAD_IP,
	BAD_LENGTH,
	BAD_L4,
	BAD_QUOTE,
};

/* A connection as the client's packets show it: dst is the VIP. An address is two words with its bytes as they are
 * sent; an IPv4 address fills the lower half of the first, and the rest is 0. */
struct flow {
	__u64 src[2];
	__u64 dst[2];
	__be16 src_port;
	__be16 dst_port;
	__u8 protocol;
	__u8 family; /* 4 or 6 */
};

/* The start of a quoted TCP or UDP header: RFC 792 guarantees 8 bytes. */
struct quoted_l4 {
	__be16 source;
	__be16 dest;
	__be32 seq; /* of TCP */
};

struct packet {
	struct flow flow;
	enum kind kind;
	__u64 len;	/* of the IP packet, without the link's padding */
	__s64 padding;	/* bytes of the link's padding; 0 or less also if the frame has several buffers */
	__be16 entropy; /* part of the tunnel's source port, beside the hash */
	__u8 tos;	/* DSCP and ECN, of either family */
	__u8 hop_limit; /* or TTL */
	void *ip;
	struct tcphdr *tcp;	 /* of KIND_TCP */
	struct quoted_l4 *quote; /* of KIND_ICMP_ERROR */
};

__inline void set_ipv4(__u64 *address, __be32 value)
{
	address[0] = value;
	address[1] = 0;
}

__inline void set_ipv6(__u64 *address, const struct in6_addr *value)
{
	const __u64 *word = (const void *)value;

	address[0] = word[0];
	address[1] = word[1];
}

__inline bool is_ipv6(const __u64 *address, const struct in6_addr *value)
{
	const __u64 *word = (const void *)value;

	return address[0] == word[0] && address[1] == word[1];
}

/* The byte whose upper half is the data offset. A bit field would be read with its neighbours. */
#define TCP_DATA_OFFSET 12

__inline enum fault parse_tcp(struct cursor *c, struct packet *pkt)
{
	struct tcphdr *tcp = advance(c, sizeof(*tcp));
	__u64 options;

	if (!tcp)
		return BAD_L4;
	options = (*((const __u8 *)tcp + TCP_DATA_OFFSET) >> 4) * 4 - sizeof(*tcp);
	if (options > c->left) /* also true if it is below 0 */
		return BAD_L4;
	pkt->kind = KIND_TCP;
	pkt->tcp = tcp;
	pkt->flow.src_port = tcp->source;
	pkt->flow.dst_port = tcp->dest;
	pkt->entropy = tcp->source;
	return NO_FAULT;
}

__inline enum fault parse_udp(struct cursor *c, struct packet *pkt)
{
	struct udphdr *udp = advance(c, sizeof(*udp));
	__u64 len;

	if (!udp)
		return BAD_L4;
	len = bpf_ntohs(udp->len);
	if (len < sizeof(*udp) || len - sizeof(*udp) > c->left)
		return BAD_L4;
	pkt->kind = KIND_UDP;
	pkt->flow.src_port = udp->source;
	pkt->flow.dst_port = udp->dest;
	pkt->entropy = udp->source;
	return NO_FAULT;
}

/* A quoted echo reply from the VIP is classified by its addresses, as the echo was. */
__inline void parse_quoted_icmp(struct cursor *c, struct packet *pkt, __u8 reply)
{
	struct quoted_l4 *l4 = advance(c, sizeof(*l4));

	if (!l4 || *(__u8 *)l4 != reply)
		return;
	pkt->kind = KIND_ICMP_ERROR;
	pkt->quote = l4;
	pkt->flow.src_port = pkt->flow.dst_port = 0;
	pkt->entropy = 0;
}

/* The quoted packet was sent by the VIP to the client. icmp, reply: the family's ICMP and its echo reply. */
__inline enum fault parse_quoted_l4(struct cursor *c, struct packet *pkt, __u8 icmp, __u8 reply)
{
	struct quoted_l4 *l4;

	pkt->kind = KIND_OTHER;
	if (pkt->flow.protocol == icmp) {
		parse_quoted_icmp(c, pkt, reply);
		return NO_FAULT;
	}
	if (pkt->flow.protocol != IPPROTO_TCP && pkt->flow.protocol != IPPROTO_UDP)
		return NO_FAULT;
	l4 = advance(c, sizeof(*l4));
	if (!l4)
		return BAD_QUOTE;
	pkt->kind = KIND_ICMP_ERROR;
	pkt->quote = l4;
	pkt->flow.src_port = l4->dest;
	pkt->flow.dst_port = l4->source;
	pkt->entropy = l4->dest;
	return NO_FAULT;
}

/* KIND_OTHER if the quoted packet was not sent by the error's destination. */
__inline enum fault parse_ipv4_quote(struct cursor *c, struct packet *pkt)
{
	struct iphdr *ip = parse_ipv4(c);

	if (!ip)
		return BAD_QUOTE;
	if (ip->frag_off & IPV4_FRAGMENT_OFFSET) {
		pkt->kind = KIND_STRANGE_FRAGMENT;
		return NO_FAULT;
	}
	if (ip->saddr != pkt->flow.dst[0]) {
		pkt->kind = KIND_OTHER;
		return NO_FAULT;
	}
	set_ipv4(pkt->flow.src, ip->daddr);
	pkt->flow.protocol = ip->protocol;
	return parse_quoted_l4(c, pkt, IPPROTO_ICMP, ICMP_ECHOREPLY);
}

__inline enum fault parse_ipv6_quote(struct cursor *c, struct packet *pkt)
{
	struct ipv6hdr *ip = parse_ipv6(c);
	__u8 protocol;

	if (!ip)
		return BAD_QUOTE;
	protocol = ip->nexthdr;
	switch (skip_extensions(c, &protocol, IPV6_FRAGMENT_OFFSET)) {
	case AT_UPPER_LAYER:
		break;
	case AT_LATER_FRAGMENT:
		pkt->kind = KIND_STRANGE_FRAGMENT;
		return NO_FAULT;
	case TOO_MANY_EXTENSIONS:
		pkt->kind = KIND_OTHER;
		return NO_FAULT;
	default:
		return BAD_QUOTE;
	}
	if (!is_ipv6(pkt->flow.dst, &ip->saddr)) {
		pkt->kind = KIND_OTHER;
		return NO_FAULT;
	}
	set_ipv6(pkt->flow.src, &ip->daddr);
	pkt->flow.protocol = protocol;
	return parse_quoted_l4(c, pkt, IPPROTO_ICMPV6, ICMPV6_ECHO_REPLY);
}

__inline void set_echo(struct packet *pkt, __be16 entropy)
{
	pkt->kind = KIND_ECHO;
	pkt->flow.src_port = pkt->flow.dst_port = 0;
	pkt->entropy = entropy;
}

__inline enum fault parse_icmp(struct cursor *c, struct packet *pkt, __be16 ip_id)
{
	struct icmphdr *icmp = advance(c, sizeof(*icmp));

	if (!icmp)
		return BAD_L4;
	switch (icmp->type) {
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
		return parse_ipv4_quote(c, pkt);
	case ICMP_ECHO:
		set_echo(pkt, ip_id);
		return NO_FAULT;
	default:
		pkt->kind = KIND_OTHER;
		return NO_FAULT;
	}
}

__inline enum fault parse_icmpv6(struct cursor *c, struct packet *pkt)
{
	struct icmp6hdr *icmp = advance(c, sizeof(*icmp));

	if (!icmp)
		return BAD_L4;
	switch (icmp->icmp6_type) {
	case ICMPV6_DEST_UNREACH:
	case ICMPV6_PKT_TOOBIG:
	case ICMPV6_TIME_EXCEED:
	case ICMPV6_PARAMPROB:
		return parse_ipv6_quote(c, pkt);
	case ICMPV6_ECHO_REQUEST:
		set_echo(pkt, icmp->icmp6_identifier);
		return NO_FAULT;
	default:
		pkt->kind = KIND_OTHER;
		return NO_FAULT;
	}
}

/* Only the first fragment shows the ICMP type. */
__inline bool may_be_echo(struct cursor *c, bool is_first, __u8 echo)
{
	const __u8 *type;

	if (!is_first)
		return true;
	type = advance(c, sizeof(*type));
	return type && *type == echo;
}

/* All fragments of a datagram, the first included, are classified by addresses and protocol, so that they stay
 * together. icmp, echo: the family's ICMP and its echo request. */
__inline void set_fragment(struct cursor *c, struct packet *pkt, bool is_first, __u8 icmp, __u8 echo)
{
	__u8 protocol = pkt->flow.protocol;

	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
		pkt->kind = KIND_FRAGMENT;
	else if (protocol == icmp && may_be_echo(c, is_first, echo))
		pkt->kind = KIND_ICMP_FRAGMENT;
	else
		pkt->kind = KIND_STRANGE_FRAGMENT;
	pkt->flow.src_port = pkt->flow.dst_port = 0;
	pkt->entropy = 0;
}

__inline enum fault parse_ipv4_packet(struct xdp_md *ctx, struct cursor *c, struct packet *pkt)
{
	struct iphdr *ip = parse_ipv4(c);

	if (!ip)
		return BAD_IP;
	pkt->ip = ip;
	pkt->len = bpf_ntohs(ip->tot_len);
	pkt->tos = ip->tos;
	pkt->hop_limit = ip->ttl;
	if (!hold_to_length(ctx, c, ip, pkt->len, &pkt->padding))
		return BAD_LENGTH;
	pkt->flow.family = 4;
	pkt->flow.protocol = ip->protocol;
	set_ipv4(pkt->flow.src, ip->saddr);
	set_ipv4(pkt->flow.dst, ip->daddr);
	if (unlikely(is_fragment(ip))) {
		set_fragment(c, pkt, !(ip->frag_off & IPV4_FRAGMENT_OFFSET), IPPROTO_ICMP, ICMP_ECHO);
		return NO_FAULT;
	}
	if (likely(ip->protocol == IPPROTO_TCP))
		return parse_tcp(c, pkt);
	switch (ip->protocol) {
	case IPPROTO_UDP:
		return parse_udp(c, pkt);
	case IPPROTO_ICMP:
		return parse_icmp(c, pkt, ip->id);
	default:
		pkt->kind = KIND_OTHER;
		return NO_FAULT;
	}
}

__inline enum fault parse_ipv6_upper(struct cursor *c, struct packet *pkt)
{
	switch (pkt->flow.protocol) {
	case IPPROTO_TCP:
		return parse_tcp(c, pkt);
	case IPPROTO_UDP:
		return parse_udp(c, pkt);
	case IPPROTO_ICMPV6:
		return parse_icmpv6(c, pkt);
	default:
		pkt->kind = KIND_OTHER;
		return NO_FAULT;
	}
}

__inline enum fault parse_ipv6_packet(struct xdp_md *ctx, struct cursor *c, struct packet *pkt)
{
	struct ipv6hdr *ip = parse_ipv6(c);
	enum extensions extensions;

	if (!ip)
		return BAD_IP;
	pkt->ip = ip;
	pkt->len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	pkt->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	pkt->hop_limit = ip->hop_limit;
	if (!hold_to_length(ctx, c, ip, pkt->len, &pkt->padding))
		return BAD_LENGTH;
	pkt->flow.family = 6;
	pkt->flow.protocol = ip->nexthdr;
	set_ipv6(pkt->flow.src, &ip->saddr);
	set_ipv6(pkt->flow.dst, &ip->daddr);
	if (likely(ip->nexthdr == IPPROTO_TCP))
		return parse_tcp(c, pkt);
	extensions = skip_extensions(c, &pkt->flow.protocol, IPV6_FRAGMENT_OFFSET | IPV6_MORE_FRAGMENTS);
	switch (extensions) {
	case AT_UPPER_LAYER:
		return parse_ipv6_upper(c, pkt);
	case AT_FIRST_FRAGMENT:
	case AT_LATER_FRAGMENT:
		set_fragment(c, pkt, extensions == AT_FIRST_FRAGMENT, IPPROTO_ICMPV6, ICMPV6_ECHO_REQUEST);
		return NO_FAULT;
	case TOO_MANY_EXTENSIONS:
		pkt->kind = KIND_OTHER;
		return NO_FAULT;
	default:
		return BAD_IP;
	}
}
