/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* ICMP errors about tunnelled packets, from routers on the path to a proxy or from the proxy. */
#pragma once

#include "director_maps.h"
#include "packet.h"

/* The quoted packet was sent from here to a proxy; its flow is reversed. */
__inline bool is_about_tunnel(const struct settings *settings, const struct packet *pkt)
{
	const struct flow *flow = &pkt->flow;

	return pkt->kind == KIND_ICMP_ERROR && flow->family == 4 && flow->protocol == IPPROTO_UDP &&
	       flow->src_port == GUE_PORT && flow->dst[0] == settings->source;
}

/* The verdict for a packet without a bind. The daemon reads "fragmentation needed" from a socket
 * (glb/network/path_mtu.py). */
__inline enum verdict pass_unbound(struct xdp_md *ctx, const struct settings *settings, const struct link *link,
				   const struct packet *pkt)
{
	struct cursor c = cursor_of(ctx);
	struct icmphdr *icmp;

	if (likely(!is_about_tunnel(settings, pkt)))
		return PASS_NO_BIND;
	if (!step_over_link(&c, link) || !parse_ipv4(&c))
		return PASS_TUNNEL_ERROR;
	icmp = advance(&c, sizeof(*icmp));
	if (!icmp || icmp->type != ICMP_DEST_UNREACH || icmp->code != ICMP_FRAG_NEEDED)
		return PASS_TUNNEL_ERROR;
	return PASS_PATH_MTU;
}
