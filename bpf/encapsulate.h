/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The tunnel's headers in front of the client's packet. */
#pragma once

#include "checksum.h"
#include "choose.h"
#include "gue.h"

#define IPV4_DONT_FRAGMENT __constant_htons(0x4000)
#define TUNNEL_TTL 64
#define TUNNEL_PORT_BASE 0x8000

/* One flow keeps one source port, so that ECMP and RSS on the way keep it in order. */
__inline __be16 tunnel_source_port(const struct flow *flow, __u64 hash)
{
	return bpf_htons(TUNNEL_PORT_BASE | ((hash ^ bpf_ntohs(flow->entropy)) & 0x7fff));
}

__inline void write_tunnel(struct tunnel *t, const struct settings *settings, const struct packet *pkt,
			   const struct hops *hops, __u32 tunnel_len)
{
	__u32 further_hops = hops->count - 1;

	__builtin_memcpy(t->eth.h_dest, hops->next_hop_mac, ETH_ALEN);
	__builtin_memcpy(t->eth.h_source, settings->mac, ETH_ALEN);
	t->eth.h_proto = ETHERTYPE_IPV4;

	t->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(tunnel_len + pkt->inner_len),
		.frag_off = IPV4_DONT_FRAGMENT,
		.ttl = TUNNEL_TTL,
		.protocol = IPPROTO_UDP,
		.saddr = settings->source,
		.daddr = hops->address[0],
	};
	t->ip.check = ipv4_checksum(&t->ip);

	t->udp = (struct udphdr){
		.source = tunnel_source_port(&pkt->flow, hops->hash),
		.dest = GUE_PORT,
		.len = bpf_htons(tunnel_len - sizeof(struct iphdr) + pkt->inner_len),
	};
	t->gue = (struct guehdr){
		.hlen = 1 + further_hops,
		.protocol = pkt->flow.family == 4 ? IPPROTO_IPIP : IPPROTO_IPV6,
	};
	t->glb = (struct glbhdr){
		.hop_count = further_hops,
	};
}

__inline enum verdict write_hops(__be32 *to, const void *end, const struct hops *hops)
{
#pragma unroll
	for (int i = 1; i < MAX_HOPS; i++) {
		if (i >= hops->count)
			break;
		if ((void *)(to + i) > end)
			return DROP_NO_HEADROOM;
		to[i - 1] = hops->address[i];
	}
	return CONTINUE;
}

__inline enum verdict encapsulate(struct xdp_md *ctx, const struct settings *settings, const struct packet *pkt,
				  const struct hops *hops)
{
	__u32 tunnel_len = TUNNEL_L3_LEN + (hops->count - 1) * sizeof(__be32);
	struct tunnel *tunnel;
	struct cursor c;

	if (tunnel_len + pkt->inner_len > 0xffff)
		return DROP_TOO_LONG;
	if (bpf_xdp_adjust_head(ctx, -(int)tunnel_len))
		return DROP_NO_HEADROOM;
	c = cursor_of(ctx);
	tunnel = advance(&c, sizeof(*tunnel));
	if (!tunnel)
		return DROP_NO_HEADROOM;
	write_tunnel(tunnel, settings, pkt, hops, tunnel_len);
	if (write_hops(c.pos, c.end, hops))
		return DROP_NO_HEADROOM;
	return ENCAPSULATED;
}
