/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The proxy: a tunnelled packet of a connection that lives here, or may begin here, is decapsulated for the host's own
 * stack. Any other gets its second chance at the next hop that the director put in the header. */
#include "types.h"
#include "proxy_maps.h"
#include "decapsulate.h"
#include "second_chance.h"

__inline enum verdict receive(struct xdp_md *ctx)
{
	struct cursor c = cursor_of(ctx);
	struct tunnel_end end;
	enum verdict verdict;

	verdict = parse_tunnel(ctx, &c, &end);
	if (verdict)
		return verdict;
	verdict = end.protocol == IPPROTO_IPIP ? seek_ipv4(ctx, &c) : seek_ipv6(ctx, &c);
	if (verdict == FORWARDED)
		return send_on(ctx, &end);
	if (verdict == DROP_BAD_INNER)
		return verdict;
	return decapsulate(ctx, &end, verdict);
}

int proxy(struct xdp_md *ctx)
{
	return conclude(receive(ctx));
}
