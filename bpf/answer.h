/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the director answers itself: echo requests, and packets that do not fit into the tunnel. */
#pragma once

#include "checksum.h"
#include "director_maps.h"
#include "encapsulate.h"
#include "link.h"
#include "packet.h"

#define ANSWER_TTL 64
#define NANOSECONDS 1000000000ULL
/* On each CPU; also the largest burst. */
#define ECHOES_PER_SECOND 1000
#define ERRORS_PER_SECOND 100
#define IPV6_MIN_MTU 1280

/* Bytes of the packet that an error quotes: for IPv4, a header with all options and more than the 8 bytes that RFC 792
 * requires; for IPv6, a header and its extensions. Whole words, as the checksum helper requires. */
#define IPV4_QUOTE 96
#define IPV6_QUOTE 256

struct budget {
	__u64 tokens;
	__u64 since; /* the time up to which tokens were given out, in ns */
};

/* Echoes have a separate budget, so that a flood of them does not exhaust that of errors. */
enum budgets {
	ECHO_BUDGET,
	ERROR_BUDGET,
	NUM_BUDGETS,
};

BPF_PERCPU_ARRAY(budget, struct budget, NUM_BUDGETS);

/* A token bucket that holds the tokens of at most one second. */
__inline bool within_budget(int which, const __u64 per_second)
{
	const __u64 interval = NANOSECONDS / per_second;
	__u64 now = bpf_ktime_get_ns(), earned;
	struct budget *mine;

	mine = budget.lookup(&which);
	if (!mine)
		return false;
	earned = (now - mine->since) / interval;
	mine->since += earned * interval;
	mine->tokens += earned;
	if (mine->tokens > per_second)
		mine->tokens = per_second;
	if (!mine->tokens)
		return false;
	mine->tokens--;
	return true;
}

/* Whether the MAC can receive an answer: not a group address, not zero, not this host's. */
__inline bool is_host_mac(const struct settings *settings, __u64 mac)
{
	return !(mac & 1) && mac && mac != settings->mac;
}

/* Moves the cursor behind the link's header. */
__inline struct ethhdr *step_over_link(struct cursor *c, const struct link *link)
{
	struct ethhdr *eth = advance(c, sizeof(*eth));

	return eth && advance_bounded(c, link->len - sizeof(*eth), 15) ? eth : NULL;
}

__inline enum verdict answer_echo_ipv4(struct cursor *c, const struct packet *pkt)
{
	struct iphdr *ip = advance(c, sizeof(*ip));
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
	struct ipv6hdr *ip = advance(c, sizeof(*ip));
	struct icmp6hdr *icmp = advance(c, sizeof(*icmp));

	if (!ip || !icmp)
		return DROP_BAD_L4;
	ip->hop_limit = ANSWER_TTL;
	__builtin_memcpy(&ip->saddr, pkt->flow.dst, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, pkt->flow.src, sizeof(ip->daddr));
	icmp->icmp6_type = ICMPV6_ECHO_REPLY;
	icmp->icmp6_cksum = checksum_replace(icmp->icmp6_cksum, __constant_htons(ICMPV6_ECHO_REQUEST << 8),
					     __constant_htons(ICMPV6_ECHO_REPLY << 8));
	return ANSWERED_ECHO;
}

/* Whether ICMP follows directly behind an IP header without options. */
__inline bool is_plain(struct cursor *c, __u8 family)
{
	const __u8 *ip = c->pos;

	if (family == 4)
		return advance(c, sizeof(struct iphdr)) && *ip == IPV4_WITHOUT_OPTIONS;
	return advance(c, sizeof(struct ipv6hdr)) && ip[offsetof(struct ipv6hdr, nexthdr)] == IPPROTO_ICMPV6;
}

/* CONTINUE, with the packet unchanged, for an echo with options or extension headers: it is forwarded to a proxy, whose
 * stack handles each of them (source routes above all). */
__inline enum verdict answer_echo(struct xdp_md *ctx, const struct settings *settings, const struct packet *pkt,
				  const struct link *link)
{
	struct cursor c = cursor_of(ctx);
	struct ethhdr *eth = step_over_link(&c, link);

	if (!eth)
		return DROP_SHORT_FRAME;
	if (!is_plain(&c, pkt->flow.family))
		return CONTINUE;
	if (!is_host_mac(settings, source_mac(eth)))
		return DROP_MARTIAN;
	if (!within_budget(ECHO_BUDGET, ECHOES_PER_SECOND))
		return DROP_ANSWER_LIMIT;
	if (!cut_padding(ctx, pkt))
		return DROP_NO_HEADROOM;
	c = cursor_of(ctx);
	eth = step_over_link(&c, link);
	if (!eth)
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

#define IPV4_LONGEST_HEADER 60
#define CLASS_E 240 /* the first byte of 240.0.0.0/4 */

/* Whether an error may be sent about an IPv4 packet that is longer than any header: DF is set, it is not a later
 * fragment, its header checksum is correct, and its source is not in network 0 or class E (RFC 1122, section 3.2.2;
 * RFC 1812, section 4.3.2.7). Martians were dropped before. */
__inline bool may_report_ipv4(struct cursor *c)
{
	struct iphdr *ip = advance(c, IPV4_LONGEST_HEADER);
	__u8 first;
	__u64 len;

	if (!ip)
		return false;
	first = ip->saddr;
	if (!(ip->frag_off & IPV4_DONT_FRAGMENT) || ip->frag_off & IPV4_FRAGMENT_OFFSET || !first || first >= CLASS_E)
		return false;
	len = ip->ihl * 4;
	barrier_var(len);
	len &= 63;
	if (len > IPV4_LONGEST_HEADER)
		return false;
	return !checksum_fold(bpf_csum_diff(NULL, 0, (void *)ip, len, 0));
}

/* For IPv6, errors are sent about any fragment, since only the sender can fragment, but not about an ICMP error (RFC
 * 4443, section 2.4). */
__inline bool may_report_error(struct cursor *c, const struct packet *pkt)
{
	if (pkt->kind == KIND_ICMP_ERROR)
		return false;
	return pkt->flow.family == 6 || may_report_ipv4(c);
}

/* Reports to the client the largest packet that fits into the tunnel, mtu bytes (RFC 1191, RFC 8201). The packet
 * becomes the quote in the error. */
__inline enum verdict answer_too_big(struct xdp_md *ctx, const struct settings *settings, const struct link *link,
				     const struct packet *pkt, __u32 mtu)
{
	bool ipv4 = pkt->flow.family == 4;
	int quote = ipv4 ? IPV4_QUOTE : IPV6_QUOTE;
	int headers = ipv4 ? sizeof(struct ipv4_error) : sizeof(struct ipv6_error);
	struct cursor c = cursor_of(ctx);
	struct ethhdr *eth = step_over_link(&c, link);
	__u64 sender;
	int surplus = (int)frame_length(ctx) - (int)link->len - quote;

	if (!eth || !may_report_error(&c, pkt))
		return DROP_TOO_BIG;
	sender = source_mac(eth);
	if (!is_host_mac(settings, sender))
		return DROP_MARTIAN;
	if (!within_budget(ERROR_BUDGET, ERRORS_PER_SECOND))
		return DROP_ANSWER_LIMIT;
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
