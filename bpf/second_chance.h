/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whether a packet's connection lives on this host: the kernel's own sockets are asked. */
#pragma once

#include "parse.h"
#include "proxy_maps.h"

/* From the kernel's include/net/tcp_states.h. */
#define TCP_LISTEN_STATE 10

/* A connection as the socket here would see it arrive: from the client to the VIP. */
struct connection {
	struct bpf_sock_tuple tuple;
	__u32 tuple_len;
};

__inline void set_ipv4_connection(struct connection *conn, __be32 client, __be32 vip, __be16 client_port,
				  __be16 vip_port)
{
	conn->tuple.ipv4.saddr = client;
	conn->tuple.ipv4.daddr = vip;
	conn->tuple.ipv4.sport = client_port;
	conn->tuple.ipv4.dport = vip_port;
	conn->tuple_len = sizeof(conn->tuple.ipv4);
}

__inline void set_ipv6_connection(struct connection *conn, const struct in6_addr *client,
				  const struct in6_addr *vip, __be16 client_port, __be16 vip_port)
{
	__builtin_memcpy(conn->tuple.ipv6.saddr, client, sizeof(*client));
	__builtin_memcpy(conn->tuple.ipv6.daddr, vip, sizeof(*vip));
	conn->tuple.ipv6.sport = client_port;
	conn->tuple.ipv6.dport = vip_port;
	conn->tuple_len = sizeof(conn->tuple.ipv6);
}

enum knowledge {
	UNKNOWN,
	LISTENER, /* only a listener is there: it may still hold a SYN cookie's other half */
	CONNECTION, /* established, half-open or in TIME-WAIT */
};

__inline struct bpf_sock *find_socket(struct xdp_md *ctx, struct connection *conn)
{
	return bpf_skc_lookup_tcp(ctx, &conn->tuple, conn->tuple_len, BPF_F_CURRENT_NETNS, 0);
}

__inline bool knows_connection(struct xdp_md *ctx, struct connection *conn)
{
	struct bpf_sock *sk = find_socket(ctx, conn);
	bool known;

	if (!sk)
		return false;
	known = sk->state != TCP_LISTEN_STATE;
	bpf_sk_release(sk);
	return known;
}

__inline bool is_plain_ack(const struct tcphdr *tcp)
{
	return tcp->ack && !tcp->syn && !tcp->rst && !tcp->fin;
}

/* Who takes the segment here; FORWARDED when nobody does and it deserves its second chance. */
__inline enum verdict seek_tcp(struct xdp_md *ctx, struct connection *conn, void *ip, __u32 ip_len,
			       struct tcphdr *tcp)
{
	enum verdict verdict = FORWARDED;
	struct bpf_sock *sk;

	if (tcp->syn)
		return TAKEN_SYN;
	sk = find_socket(ctx, conn);
	if (!sk)
		return FORWARDED;
	if (sk->state != TCP_LISTEN_STATE)
		verdict = TAKEN_ESTABLISHED;
	else if (is_plain_ack(tcp) && !bpf_tcp_check_syncookie(sk, ip, ip_len, tcp, sizeof(*tcp)))
		verdict = TAKEN_SYNCOOKIE;
	bpf_sk_release(sk);
	return verdict;
}

__inline enum verdict seek_quoted(struct xdp_md *ctx, struct connection *conn)
{
	return knows_connection(ctx, conn) ? TAKEN_ESTABLISHED : FORWARDED;
}

/* The quoted packet was sent from here to the client: it is reversed. */
__inline enum verdict seek_ipv4_quote(struct xdp_md *ctx, struct cursor *c)
{
	struct iphdr *ip = parse_ipv4(c);
	struct connection conn = {};
	struct quoted_l4 *l4;

	if (!ip)
		return DROP_BAD_INNER;
	if (ip->protocol != IPPROTO_TCP || ip->frag_off & IPV4_FRAGMENT_OFFSET)
		return TAKEN_CONNECTIONLESS;
	l4 = parse_quoted_l4(c);
	if (!l4)
		return DROP_BAD_INNER;
	set_ipv4_connection(&conn, ip->daddr, ip->saddr, l4->dest, l4->source);
	return seek_quoted(ctx, &conn);
}

__inline enum verdict seek_ipv6_quote(struct xdp_md *ctx, struct cursor *c)
{
	struct ipv6hdr *ip = parse_ipv6(c);
	struct connection conn = {};
	struct quoted_l4 *l4;

	if (!ip)
		return DROP_BAD_INNER;
	if (ip->nexthdr != IPPROTO_TCP)
		return TAKEN_CONNECTIONLESS;
	l4 = parse_quoted_l4(c);
	if (!l4)
		return DROP_BAD_INNER;
	set_ipv6_connection(&conn, &ip->daddr, &ip->saddr, l4->dest, l4->source);
	return seek_quoted(ctx, &conn);
}

__inline enum verdict seek_icmp(struct xdp_md *ctx, struct cursor *c)
{
	struct icmphdr *icmp = advance(c, sizeof(*icmp));

	if (!icmp)
		return DROP_BAD_INNER;
	return is_icmp_error(icmp->type) ? seek_ipv4_quote(ctx, c) : TAKEN_CONNECTIONLESS;
}

__inline enum verdict seek_icmpv6(struct xdp_md *ctx, struct cursor *c)
{
	struct icmp6hdr *icmp = advance(c, sizeof(*icmp));

	if (!icmp)
		return DROP_BAD_INNER;
	return is_icmpv6_error(icmp->icmp6_type) ? seek_ipv6_quote(ctx, c) : TAKEN_CONNECTIONLESS;
}

__inline enum verdict seek_ipv4(struct xdp_md *ctx, struct cursor *c)
{
	struct iphdr *ip = parse_ipv4(c);
	struct connection conn = {};
	struct tcphdr *tcp;

	if (!ip || !hold_to_length(ctx, c, ip, bpf_ntohs(ip->tot_len)))
		return DROP_BAD_INNER;
	if (ip->frag_off & IPV4_FRAGMENT_OFFSET)
		return TAKEN_CONNECTIONLESS;
	if (ip->protocol == IPPROTO_ICMP)
		return seek_icmp(ctx, c);
	if (ip->protocol != IPPROTO_TCP)
		return TAKEN_CONNECTIONLESS;
	tcp = advance(c, sizeof(*tcp));
	if (!tcp)
		return DROP_BAD_INNER;
	set_ipv4_connection(&conn, ip->saddr, ip->daddr, tcp->source, tcp->dest);
	return seek_tcp(ctx, &conn, ip, sizeof(*ip), tcp);
}

__inline enum verdict seek_ipv6(struct xdp_md *ctx, struct cursor *c)
{
	struct ipv6hdr *ip = parse_ipv6(c);
	struct connection conn = {};
	struct tcphdr *tcp;

	if (!ip || !hold_to_length(ctx, c, ip, sizeof(*ip) + bpf_ntohs(ip->payload_len)))
		return DROP_BAD_INNER;
	if (ip->nexthdr == IPPROTO_ICMPV6)
		return seek_icmpv6(ctx, c);
	if (ip->nexthdr != IPPROTO_TCP)
		return TAKEN_CONNECTIONLESS;
	tcp = advance(c, sizeof(*tcp));
	if (!tcp)
		return DROP_BAD_INNER;
	set_ipv6_connection(&conn, &ip->saddr, &ip->daddr, tcp->source, tcp->dest);
	return seek_tcp(ctx, &conn, ip, sizeof(*ip), tcp);
}
