/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the director answers by itself: echo requests, and packets that do not fit into the tunnel. */
#pragma once

#include "checksum.h"
#include "director_maps.h"
#include "encapsulate.h"
#include "link.h"
#include "packet.h"

#define ANSWER_TTL 64
#define ANSWERS_PER_SECOND 100 /* on each CPU, so many at once too */
#define NANOSECONDS 1000000000ULL
#define IPV6_MIN_MTU 1280

/* How much of the packet an error quotes: an IPv4 header with all options and more than the 8 bytes that RFC 792 asks
 * for; of IPv6, where the quote must hold a header and extensions. Whole words, for the checksum helper. */
#define IPV4_QUOTE 96
#define IPV6_QUOTE 256

struct budget {
	__u64 tokens;
	__u64 since; /* the time up to which tokens were given out, in ns */
};

BPF_PERCPU_ARRAY(budget, struct budget, 1);

/* One token for each 1/ANSWERS_PER_SECOND, saved up for a second at the most. */
__inline bool within_budget(void)
{
	const __u64 interval = NANOSECONDS / ANSWERS_PER_SECOND;
	__u64 now = bpf_ktime_get_ns(), earned;
	struct budget *mine;
	int zero = 0;

	mine = budget.lookup(&zero);
	if (!mine)
		return false;
	earned = (now - mine->since) / interval;
	mine->since += earned * interval;
	mine->tokens += earned;
	if (mine->tokens > ANSWERS_PER_SECOND)
		mine->tokens = ANSWERS_PER_SECOND;
	if (!mine->tokens)
		return false;
	mine->tokens--;
	return true;
}

__inline enum verdict answer_echo_ipv4(struct cursor *c, const struct packet *pkt)
{
	struct iphdr *ip = parse_ipv4(c);
	struct icmphdr *icmp = advance(c, sizeof(*icmp));
	__u16 before;

	if (!ip || !icmp)
		return DROP_BAD_L4;
	before = *(__u16 *)&ip->ttl;
	ip->ttl = ANSWER_TTL;
	ip->check = checksum_replace(ip->check, before, *(__u16 *)&ip->ttl);
	ip->saddr = pkt->flow.dst[0];
	ip->daddr = pkt->flow.src[0];
	icmp->type = ICMP_ECHOREPLY;
	icmp->checksum = checksum_replace(icmp->checksum, __constant_htons(ICMP_ECHO << 8), 0);
	return ANSWERED_ECHO;
}

__inline enum verdict answer_echo_ipv6(struct cursor *c, const struct packet *pkt)
{
	struct ipv6hdr *ip = parse_ipv6(c);
	struct icmp6hdr *icmp;
	__u8 protocol;

	if (!ip)
		return DROP_BAD_L4;
	protocol = ip->nexthdr;
	if (skip_extensions(c, &protocol, IPV6_FRAGMENT_OFFSET | IPV6_MORE_FRAGMENTS) != AT_UPPER_LAYER)
		return DROP_BAD_L4;
	icmp = advance(c, sizeof(*icmp));
	if (!icmp)
		return DROP_BAD_L4;
	ip->hop_limit = ANSWER_TTL;
	__builtin_memcpy(&ip->saddr, pkt->flow.dst, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, pkt->flow.src, sizeof(ip->daddr));
	icmp->icmp6_type = ICMPV6_ECHO_REPLY;
	icmp->icmp6_cksum = checksum_replace(icmp->icmp6_cksum, __constant_htons(ICMPV6_ECHO_REQUEST << 8),
					     __constant_htons(ICMPV6_ECHO_REPLY << 8));
	return ANSWERED_ECHO;
}

__inline enum verdict answer_echo(struct xdp_md *ctx, const struct packet *pkt, const struct link *link)
{
	struct ethhdr *eth;
	struct cursor c;

	if (!cut_padding(ctx, pkt))
		return DROP_NO_HEADROOM;
	c = cursor_of(ctx);
	eth = advance(&c, sizeof(*eth));
	if (!eth || !advance_by_told(&c, link->len - sizeof(*eth), 15))
		return DROP_SHORT_FRAME;
	exchange_macs(eth);
	return pkt->flow.family == 4 ? answer_echo_ipv4(&c, pkt) : answer_echo_ipv6(&c, pkt);
}

struct ipv4_error {
	struct iphdr ip;
	struct icmphdr icmp;
};

struct ipv6_error {
	struct ipv6hdr ip;
	struct icmp6hdr icmp;
};

__inline bool write_ipv4_error(struct cursor *c, const struct packet *pkt, __u32 mtu)
{
	struct ipv4_error *error = advance(c, sizeof(*error));
	__u32 icmp_len = sizeof(error->icmp) + IPV4_QUOTE;

	if (!error || !advance(c, IPV4_QUOTE))
		return false;
	error->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(sizeof(error->ip) + icmp_len),
		.ttl = ANSWER_TTL,
		.protocol = IPPROTO_ICMP,
		.saddr = pkt->flow.dst[0],
		.daddr = pkt->flow.src[0],
	};
	error->ip.check = ipv4_checksum(&error->ip);
	error->icmp = (struct icmphdr){
		.type = ICMP_DEST_UNREACH,
		.code = ICMP_FRAG_NEEDED,
		.un.frag.mtu = bpf_htons(mtu),
	};
	error->icmp.checksum = checksum_fold(bpf_csum_diff(NULL, 0, (void *)&error->icmp, icmp_len, 0));
	return true;
}

__inline bool write_ipv6_error(struct cursor *c, const struct packet *pkt, __u32 mtu)
{
	struct ipv6_error *error = advance(c, sizeof(*error));
	__u32 icmp_len = sizeof(error->icmp) + IPV6_QUOTE;
	__s64 sum;

	if (!error || !advance(c, IPV6_QUOTE))
		return false;
	error->ip = (struct ipv6hdr){
		.version = 6,
		.payload_len = bpf_htons(icmp_len),
		.nexthdr = IPPROTO_ICMPV6,
		.hop_limit = ANSWER_TTL,
	};
	__builtin_memcpy(&error->ip.saddr, pkt->flow.dst, sizeof(error->ip.saddr));
	__builtin_memcpy(&error->ip.daddr, pkt->flow.src, sizeof(error->ip.daddr));
	error->icmp = (struct icmp6hdr){
		.icmp6_type = ICMPV6_PKT_TOOBIG,
		.icmp6_mtu = bpf_htonl(mtu < IPV6_MIN_MTU ? IPV6_MIN_MTU : mtu),
	};
	/* The pseudo-header: addresses, length, protocol (RFC 8200, section 8.1). */
	sum = bpf_htons(icmp_len) + bpf_htons(IPPROTO_ICMPV6);
	sum = bpf_csum_diff(NULL, 0, (void *)&error->ip.saddr, 2 * sizeof(struct in6_addr), sum);
	sum = bpf_csum_diff(NULL, 0, (void *)&error->icmp, icmp_len, sum);
	error->icmp.icmp6_cksum = checksum_fold(sum);
	return true;
}

/* Tells the client what fits through the tunnel (RFC 1191, RFC 8201). The packet becomes the quote in the error. */
__inline enum verdict answer_too_big(struct xdp_md *ctx, const struct settings *settings, const struct link *link,
				     const struct packet *pkt, __u64 tunnel_len)
{
	bool ipv4 = pkt->flow.family == 4;
	int quote = ipv4 ? IPV4_QUOTE : IPV6_QUOTE;
	int headers = ipv4 ? sizeof(struct ipv4_error) : sizeof(struct ipv6_error);
	__u32 mtu = settings->mtu - tunnel_len;
	struct cursor c = cursor_of(ctx);
	struct ethhdr *eth = advance(&c, sizeof(*eth));
	__u64 sender;
	int surplus = (int)frame_length(ctx) - (int)link->len - quote;

	if (pkt->kind == KIND_ICMP_ERROR || pkt->kind == KIND_FRAGMENT || !within_budget())
		return DROP_TOO_BIG;
	if (!eth)
		return DROP_TOO_BIG;
	sender = source_mac(eth);
	if (surplus < 0 || bpf_xdp_adjust_tail(ctx, -surplus) || bpf_xdp_adjust_head(ctx, -headers))
		return DROP_TOO_BIG;
	c = cursor_of(ctx);
	eth = write_link(&c, c, headers, link, ipv4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
	if (!eth)
		return DROP_TOO_BIG;
	write_macs(eth, sender, settings->mac);
	if (ipv4 ? write_ipv4_error(&c, pkt, mtu) : write_ipv6_error(&c, pkt, mtu))
		return ANSWERED_TOO_BIG;
	return DROP_TOO_BIG;
}
