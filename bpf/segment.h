/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whether a segment with a socket's addresses and ports belongs to its connection. Another proxy may hold a newer
 * connection with the same ports; sequence numbers tell them apart (RFC 9293, 3.10.7). */
#pragma once

#include "packet.h"

/* From the kernel's include/net/tcp_states.h. */
#define TCP_ESTABLISHED_STATE 1
#define TCP_SYN_SENT_STATE 2
#define TCP_FIN_WAIT2_STATE 5
#define TCP_TIME_WAIT_STATE 6
#define TCP_LISTEN_STATE 10
#define TCP_NEW_SYN_RECV_STATE 12 /* half-open */

/* The largest windows without and with scaling (RFC 7323, 2.2). */
#define LEAST_WINDOW (1U << 16)
#define MOST_WINDOW (1U << 30)

/* The loader defines the offsets of members of the kernel's structs (glb/datapath/btf.py). */
#define MEMBER(type, pointer, offset) (*(const type *)((const void *)(pointer) + (offset)))

/* A SYN with other flags does not begin a connection (RFC 9293). */
__inline bool begins_connection(const struct tcphdr *tcp)
{
	return tcp->syn && !tcp->ack && !tcp->rst && !tcp->fin;
}

__inline bool is_plain_ack(const struct tcphdr *tcp)
{
	return tcp->ack && !tcp->syn && !tcp->rst && !tcp->fin;
}

/* Sequence numbers wrap around. */
__inline bool is_between(__u32 number, __u32 first, __u32 last)
{
	return number - first <= last - first;
}

__inline __u32 window_of(__u32 offered)
{
	if (offered < LEAST_WINDOW)
		return LEAST_WINDOW;
	return offered > MOST_WINDOW ? MOST_WINDOW : offered;
}

/* Whether a socket that expects `next` may receive the segment: up to a window of new data, or a retransmission, which
 * is at most a window old. */
__inline bool is_in_window(const struct packet *pkt, __u32 next, __u32 window)
{
	return is_between(bpf_ntohl(pkt->tcp->seq), next - window, next + window);
}

/* A client repeats its SYN if the answer was lost. If its row has changed meanwhile, two proxies hold the connection
 * half-open, each with its own sequence number, and the client continues with the one whose number it acknowledges. The
 * other would answer with RST. */
__inline bool is_of_half_open(struct bpf_sock *sk, const struct packet *pkt)
{
	struct tcp_request_sock *request = bpf_skc_to_tcp_request_sock(sk);
	__u32 start;

	if (!request)
		return false;
	start = MEMBER(__u32, request, REQUEST_SNT_ISN);
	if (pkt->kind == KIND_ICMP_ERROR)
		return pkt->quote->seq == bpf_htonl(start);
	if (pkt->tcp->ack && pkt->tcp->ack_seq != bpf_htonl(start + 1))
		return false;
	return is_in_window(pkt, MEMBER(__u32, request, REQUEST_RCV_NXT), LEAST_WINDOW);
}

/* A socket closed on both sides has received everything from its client: later numbers, and much lower ones, are those
 * of a new connection. The kernel keeps a socket that was closed while its client still sends (FIN-WAIT-2) in the same
 * form; it has a window. The stack ignores errors about either. */
__inline bool is_of_time_wait(struct bpf_sock *sk, const struct packet *pkt)
{
	struct tcp_timewait_sock *waiting = bpf_skc_to_tcp_timewait_sock(sk);
	__u32 next, window;

	if (!waiting || pkt->kind == KIND_ICMP_ERROR)
		return false;
	next = MEMBER(__u32, waiting, TIME_WAIT_RCV_NXT);
	window = window_of(MEMBER(__u32, waiting, TIME_WAIT_RCV_WND));
	if (MEMBER(__u8, waiting, TIME_WAIT_SUBSTATE) == TCP_FIN_WAIT2_STATE)
		return is_in_window(pkt, next, window);
	return is_between(bpf_ntohl(pkt->tcp->seq), next - window, next);
}

/* Whether the quoted segment was sent by this host and is not acknowledged yet. */
__inline bool quotes_unacknowledged(const struct packet *pkt, const struct tcp_sock *tcp)
{
	return is_between(bpf_ntohl(pkt->quote->seq), MEMBER(__u32, tcp, CONNECTION_SND_UNA),
			  MEMBER(__u32, tcp, CONNECTION_SND_NXT));
}

/* For a connection that this host opens: whether the packet acknowledges its SYN. */
__inline bool is_of_syn_sent(struct bpf_sock *sk, const struct packet *pkt)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	if (!tcp)
		return false;
	if (pkt->kind == KIND_ICMP_ERROR)
		return quotes_unacknowledged(pkt, tcp);
	return pkt->tcp->ack && is_between(bpf_ntohl(pkt->tcp->ack_seq), MEMBER(__u32, tcp, CONNECTION_SND_UNA) + 1,
					   MEMBER(__u32, tcp, CONNECTION_SND_NXT));
}

__inline bool is_of_connection(struct bpf_sock *sk, const struct packet *pkt)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	if (!tcp)
		return false;
	if (pkt->kind == KIND_ICMP_ERROR)
		return quotes_unacknowledged(pkt, tcp);
	return is_in_window(pkt, MEMBER(__u32, tcp, CONNECTION_RCV_NXT),
			    window_of(MEMBER(__u32, tcp, CONNECTION_WINDOW_CLAMP)));
}
