/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whether a packet's connection is on this host, by the kernel's sockets. */
#pragma once

#include "packet.h"
#include "proxy_maps.h"
#include "recent.h"
#include "segment.h"

/* A flow as the helper's argument. */
__inline void set_tuple(struct bpf_sock_tuple *tuple, const struct flow *flow)
{
	if (flow->family == 4) {
		tuple->ipv4.saddr = flow->src[0];
		tuple->ipv4.daddr = flow->dst[0];
		tuple->ipv4.sport = flow->src_port;
		tuple->ipv4.dport = flow->dst_port;
		return;
	}
	__builtin_memcpy(tuple->ipv6.saddr, flow->src, sizeof(flow->src));
	__builtin_memcpy(tuple->ipv6.daddr, flow->dst, sizeof(flow->dst));
	tuple->ipv6.sport = flow->src_port;
	tuple->ipv6.dport = flow->dst_port;
}

/* The helper derives the family from the tuple's length, which must be a constant for the verifier. */
__inline struct bpf_sock *find_socket(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u8 family, __u64 namespace)
{
	if (family == 4)
		return bpf_skc_lookup_tcp(ctx, tuple, sizeof(tuple->ipv4), namespace, 0);
	return bpf_skc_lookup_tcp(ctx, tuple, sizeof(tuple->ipv6), namespace, 0);
}

/* The helper reads only the fixed part of the IP header. */
__inline bool holds_cookie(struct bpf_sock *listener, const struct packet *pkt)
{
	if (pkt->kind != KIND_TCP || !is_plain_ack(pkt->tcp))
		return false;
	if (pkt->flow.family == 4)
		return !bpf_tcp_check_syncookie(listener, pkt->ip, sizeof(struct iphdr), pkt->tcp, sizeof(*pkt->tcp));
	return !bpf_tcp_check_syncookie(listener, pkt->ip, sizeof(struct ipv6hdr), pkt->tcp, sizeof(*pkt->tcp));
}

/* Why a socket of the packet's addresses and ports takes it; CONTINUE if it does not. */
__inline enum verdict judge(struct bpf_sock *sk, const struct packet *pkt)
{
	switch (sk->state) {
	case TCP_LISTEN_STATE:
		return holds_cookie(sk, pkt) ? TAKEN_SYNCOOKIE : CONTINUE;
	case TCP_NEW_SYN_RECV_STATE:
		if (!is_of_half_open(sk, pkt))
			return CONTINUE;
		return pkt->kind == KIND_TCP && is_plain_ack(pkt->tcp) ? TAKEN_HANDSHAKE : TAKEN_ESTABLISHED;
	case TCP_TIME_WAIT_STATE:
		return is_of_time_wait(sk, pkt) ? TAKEN_ESTABLISHED : CONTINUE;
	case TCP_SYN_SENT_STATE:
		return is_of_syn_sent(sk, pkt) ? TAKEN_ESTABLISHED : CONTINUE;
	default:
		return is_of_connection(sk, pkt) ? TAKEN_ESTABLISHED : CONTINUE;
	}
}

__inline bool ends_connection(const struct packet *pkt)
{
	return pkt->kind == KIND_TCP && (pkt->tcp->fin || pkt->tcp->rst);
}

/* Looks in one network namespace; CONTINUE if no socket there takes the packet. */
__inline enum verdict seek_in(struct xdp_md *ctx, const struct proxy_settings *settings, const struct packet *pkt,
			      struct bpf_sock_tuple *tuple, __u64 namespace, struct recent *place)
{
	enum verdict verdict;
	struct bpf_sock *sk;

	sk = find_socket(ctx, tuple, pkt->flow.family, namespace);
	if (!sk)
		return CONTINUE;
	verdict = without_knowledge(settings, judge(sk, pkt));
	if (verdict && sk->state == TCP_ESTABLISHED_STATE && !ends_connection(pkt))
		remember(place, &pkt->flow);
	bpf_sk_release(sk);
	return verdict;
}

/* In the namespaces from `first` to before `last`, at most four of them. A loop over eight is too long for the verifier of
 * Linux 6.1, which follows more than a million instructions there; two over four take a tenth of that. */
__inline enum verdict seek_in_namespaces(struct xdp_md *ctx, const struct proxy_settings *settings,
					 const struct packet *pkt, struct bpf_sock_tuple *tuple, int first, int last,
					 struct recent *place)
{
	for (int i = first; i < last && (__u32)i < settings->num_namespaces; i++) {
		enum verdict verdict = seek_in(ctx, settings, pkt, tuple, settings->namespaces[i], place);

		if (verdict)
			return verdict;
	}
	return CONTINUE;
}

/* place: the entry for the connection if it is established. */
__inline enum verdict look_up_socket(struct xdp_md *ctx, const struct proxy_settings *settings,
				     const struct packet *pkt, struct recent *place)
{
	struct bpf_sock_tuple tuple;
	enum verdict verdict;

	set_tuple(&tuple, &pkt->flow);
	verdict = seek_in(ctx, settings, pkt, &tuple, BPF_F_CURRENT_NETNS, place);
	if (!verdict)
		verdict = seek_in_namespaces(ctx, settings, pkt, &tuple, 0, MAX_NAMESPACES / 2, place);
	if (!verdict)
		verdict = seek_in_namespaces(ctx, settings, pkt, &tuple, MAX_NAMESPACES / 2, MAX_NAMESPACES, place);
	return verdict ? verdict : FORWARDED;
}

__inline enum verdict seek_socket(struct xdp_md *ctx, const struct proxy_settings *settings, const struct packet *pkt)
{
	struct recent *place = place_of(&pkt->flow);

	if (!place)
		return DROP_NO_STATE;
	if (ends_connection(pkt))
		place->until = 0;
	return look_up_socket(ctx, settings, pkt, place);
}

/* Whether the packet continues a connection that was established here a moment ago. Everything else was checked
 * then. */
__inline bool is_remembered(const struct packet *pkt)
{
	struct recent *place;

	if (pkt->kind != KIND_TCP || pkt->tcp->syn || pkt->tcp->fin || pkt->tcp->rst)
		return false;
	place = place_of(&pkt->flow);
	return place && is_recent(place, &pkt->flow);
}

/* The verdict by which the packet is taken here; FORWARDED if it must get its second chance. */
__inline enum verdict seek(struct xdp_md *ctx, const struct proxy_settings *settings, const struct packet *pkt)
{
	if (pkt->kind == KIND_TCP && begins_connection(pkt->tcp))
		return TAKEN_SYN;
	if (pkt->flow.protocol != IPPROTO_TCP || (pkt->kind != KIND_TCP && pkt->kind != KIND_ICMP_ERROR))
		return TAKEN_CONNECTIONLESS;
	return seek_socket(ctx, settings, pkt);
}
