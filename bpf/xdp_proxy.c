/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The proxy: a tunnelled packet of a connection that is on this host, or that begins one, is decapsulated for the
 * host's stack. Any other gets its second chance at the next hop in the header. The rules: docs/datapath.md. */
#include "types.h"
#include "proxy_maps.h"
#include "packet.h"
#include "admit.h"
#include "decapsulate.h"
#include "second_chance.h"
#include "send_on.h"
#include "capture.h"

/* The verdict by which the packet is decapsulated or dropped here, or FORWARDED. The compiler makes one copy for each
 * family, in which the family is a constant. */
__inline enum verdict decide(struct xdp_md *ctx, const struct proxy_settings *settings, const struct tunnel_end *end,
			     const struct packet *pkt, enum fault fault)
{
	enum verdict verdict;

	if (fault)
		return DROP_BAD_INNER;
	capture_before(ctx, &pkt->flow);
	if (unlikely(!pkt->hop_limit))
		return DROP_TTL_ZERO;
	if (likely(is_remembered(pkt)))
		return TAKEN_ESTABLISHED;
	verdict = admit(settings, end, pkt);
	if (verdict)
		return verdict;
	return seek(ctx, settings, pkt);
}

__inline bool is_drop(enum verdict verdict)
{
	return (verdict & ((1 << ACTION_BITS) - 1)) == XDP_DROP;
}

__inline enum verdict receive(struct xdp_md *ctx)
{
	struct cursor c = cursor_of(ctx);
	struct proxy_settings *settings;
	struct packet pkt;
	struct tunnel_end end;
	enum verdict verdict;
	enum fault fault;
	struct link link;
	int zero = 0;

	use_full_stack();
	settings = proxy_settings.lookup(&zero);
	if (!settings)
		return DROP_NO_STATE;
	if (!parse_link(&c, &link))
		return PASS_NOT_TUNNEL;
	verdict = parse_tunnel(ctx, settings, &link, &c, &end);
	if (verdict)
		return verdict;
	if (likely(end.protocol == IPPROTO_IPIP)) {
		fault = parse_ipv4_packet(ctx, &c, &pkt);
		pkt.flow.family = 4;
		verdict = decide(ctx, settings, &end, &pkt, fault);
	} else {
		fault = parse_ipv6_packet(ctx, &c, &pkt);
		pkt.flow.family = 6;
		verdict = decide(ctx, settings, &end, &pkt, fault);
	}
	verdict = without_knowledge(settings, verdict);
	if (verdict == FORWARDED)
		verdict = send_on(ctx, settings, &link);
	return is_drop(verdict) || verdict == FORWARDED ? verdict : decapsulate(ctx, &link, &end, verdict);
}

int proxy(struct xdp_md *ctx)
{
	enum verdict verdict = receive(ctx);

	capture_after(ctx, verdict);
	return conclude(verdict);
}
