/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The director: a client's packet that matches a bind leaves through the tunnel to its row's first hop, with the
 * further hops in the header. No state is kept of any connection. */
#include "types.h"
#include "director_maps.h"
#include "classify.h"
#include "choose.h"
#include "encapsulate.h"

__inline enum verdict direct(struct xdp_md *ctx)
{
	struct packet pkt = {};
	struct hops hops;
	struct bind *bind;
	struct state *now;
	struct settings *settings;
	enum verdict verdict;
	__u32 generation;
	int zero = 0;

	now = state.lookup(&zero);
	if (!now)
		return DROP_NO_STATE;
	generation = READ_ONCE(now->generation) & (GENERATIONS - 1);
	settings = &now->settings[generation];

	verdict = parse_flow(ctx, settings, &pkt);
	if (verdict)
		return verdict;
	bind = find_bind(settings, &pkt.flow, generation);
	if (!bind)
		return PASS_NO_BIND;
	verdict = choose(settings, bind, &pkt.flow, &hops);
	if (verdict)
		return verdict;
	return encapsulate(ctx, settings, &pkt, &hops);
}

int director(struct xdp_md *ctx)
{
	return conclude(direct(ctx));
}
