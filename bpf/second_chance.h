/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whether a packet's connection lives on this host: the kernel's own sockets are asked. */
#pragma once

#include "packet.h"
#include "proxy_maps.h"
#include "recent.h"

/* From the kernel's include/net/tcp_states.h. */
#define TCP_ESTABLISHED_STATE 1
#define TCP_TIME_WAIT_STATE 6
#define TCP_LISTEN_STATE 10
#define TCP_NEW_SYN_RECV_STATE 12 /* half-open */

/* A flow as the helper takes it. */
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

/* The length of the tuple tells the helper the family; the verifier wants it as a constant. */
__inline struct bpf_sock *find_socket(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u8 family, __u64 namespace)
{
	if (family == 4)
		return bpf_skc_lookup_tcp(ctx, tuple, sizeof(tuple->ipv4), namespace, 0);
	return bpf_skc_lookup_tcp(ctx, tuple, sizeof(tuple->ipv6), namespace, 0);
}

__inline bool is_plain_ack(const struct tcphdr *tcp)
{
	return tcp->ack && !tcp->syn && !tcp->rst && !tcp->fin;
}

/* Of the IP header the helper reads no more than its fixed part. */
__inline bool holds_cookie(struct bpf_sock *listener, const struct packet *pkt)
{
	if (pkt->kind != KIND_TCP || !is_plain_ack(pkt->tcp))
		return false;
	if (pkt->flow.family == 4)
		return !bpf_tcp_check_syncookie(listener, pkt->ip, sizeof(struct iphdr), pkt->tcp, sizeof(*pkt->tcp));
	return !bpf_tcp_check_syncookie(listener, pkt->ip, sizeof(struct ipv6hdr), pkt->tcp, sizeof(*pkt->tcp));
}

/* A client repeats its SYN when the answer was lost. If its row has changed meanwhile, two proxies hold the connection
 * half-open, each with a sequence number of its own, and the client goes on with one of them: that whose number it
 * acknowledges. The other would answer with RST. */
__inline bool is_of_half_open(struct bpf_sock *sk, const struct packet *pkt)
{
	struct tcp_request_sock *request = bpf_skc_to_tcp_request_sock(sk);
	__u32 start;

	if (!request)
		return true;
	start = *(__u32 *)((void *)request + REQUEST_SNT_ISN);
	if (pkt->kind == KIND_ICMP_ERROR)
		return pkt->quote->seq == bpf_htonl(start);
	return !pkt->tcp->ack || pkt->tcp->ack_seq == bpf_htonl(start + 1);
}

/* A connection in TIME-WAIT has heard all that its client had to say. Later numbers are those of a new connection with the
 * same ports (RFC 1122, 4.2.2.13), which lives elsewhere: its SYN would have ended the TIME-WAIT. */
__inline bool is_of_time_wait(struct bpf_sock *sk, const struct packet *pkt)
{
	struct tcp_timewait_sock *waiting = bpf_skc_to_tcp_timewait_sock(sk);
	__u32 end;

	if (!waiting || pkt->kind == KIND_ICMP_ERROR)
		return true;
	end = *(__u32 *)((void *)waiting + TIME_WAIT_RCV_NXT);
	return (__s32)(bpf_ntohl(pkt->tcp->seq) - end) <= 0;
}

/* Why a socket of the packet's addresses and ports takes it; CONTINUE if it does not. */
__inline enum verdict judge(struct bpf_sock *sk, const struct packet *pkt)
{
	switch (sk->state) {
	case TCP_LISTEN_STATE:
		return holds_cookie(sk, pkt) ? TAKEN_SYNCOOKIE : CONTINUE;
	case TCP_NEW_SYN_RECV_STATE:
		return is_of_half_open(sk, pkt) ? TAKEN_ESTABLISHED : CONTINUE;
	case TCP_TIME_WAIT_STATE:
		return is_of_time_wait(sk, pkt) ? TAKEN_ESTABLISHED : CONTINUE;
	default:
		return TAKEN_ESTABLISHED;
	}
}

/* In one network namespace; CONTINUE if nobody there knows the packet. */
__inline enum verdict seek_in(struct xdp_md *ctx, const struct packet *pkt, struct bpf_sock_tuple *tuple,
			      __u64 namespace, struct recent *recent)
{
	enum verdict verdict;
	struct bpf_sock *sk;

	sk = find_socket(ctx, tuple, pkt->flow.family, namespace);
	if (!sk)
		return CONTINUE;
	verdict = judge(sk, pkt);
	if (recent && sk->state == TCP_ESTABLISHED_STATE)
		remember(recent, &pkt->flow);
	bpf_sk_release(sk);
	return verdict;
}

/* recent: where the connection is remembered if it is established; NULL if it is not to be. */
__inline enum verdict ask_kernel(struct xdp_md *ctx, const struct proxy_settings *settings, const struct packet *pkt,
				 struct recent *recent)
{
	struct bpf_sock_tuple tuple;
	enum verdict verdict;

	set_tuple(&tuple, &pkt->flow);
	verdict = seek_in(ctx, pkt, &tuple, BPF_F_CURRENT_NETNS, recent);
	if (verdict)
		return verdict;
	for (int i = 0; i < MAX_NAMESPACES && i < settings->num_namespaces; i++) {
		verdict = seek_in(ctx, pkt, &tuple, settings->namespaces[i], recent);
		if (verdict)
			return verdict;
	}
	return FORWARDED;
}

__inline bool ends_connection(const struct packet *pkt)
{
	return pkt->kind == KIND_TCP && (pkt->tcp->fin || pkt->tcp->rst);
}

__inline enum verdict seek_socket(struct xdp_md *ctx, const struct proxy_settings *settings, const struct packet *pkt)
{
	struct recent *place = place_of(&pkt->flow);

	if (place && ends_connection(pkt)) {
		place->until = 0;
		place = NULL;
	}
	if (place && is_recent(place, &pkt->flow))
		return TAKEN_ESTABLISHED;
	return ask_kernel(ctx, settings, pkt, place);
}

/* Who takes the packet here; FORWARDED when nobody does and it deserves its second chance. */
__inline enum verdict seek(struct xdp_md *ctx, const struct proxy_settings *settings, const struct packet *pkt)
{
	if (pkt->kind == KIND_TCP && pkt->tcp->syn)
		return TAKEN_SYN;
	if (pkt->flow.protocol != IPPROTO_TCP || (pkt->kind != KIND_TCP && pkt->kind != KIND_ICMP_ERROR))
		return TAKEN_CONNECTIONLESS;
	return seek_socket(ctx, settings, pkt);
}
