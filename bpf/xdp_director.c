/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The director: a client's packet that matches a bind is tunnelled to its row's first hop, with the further hops in the
 * header. No connection state is kept. The rules: docs/datapath.md. */
#include "types.h"
#include "director_maps.h"
#include "packet.h"
#include "martian.h"
#include "bind.h"
#include "choose.h"
#include "encapsulate.h"
#include "answer.h"
#include "tunnel_error.h"
#include "capture.h"

__inline enum verdict verdict_of(enum fault fault)
{
	switch (fault) {
	case BAD_IP:
		return DROP_BAD_IP;
	case BAD_LENGTH:
		return DROP_BAD_LENGTH;
	case BAD_L4:
		return DROP_BAD_L4;
	case BAD_QUOTE:
		return DROP_BAD_ICMP_QUOTE;
	default:
		return CONTINUE;
	}
}

/* The verifier follows each path through the parser separately while it knows a different value of `kind` for each: ten
 * times all the code that follows. Adding a zero that it does not know hides the value. */
__inline void hide_kind(struct packet *pkt, __u32 zero)
{
	pkt->kind = (pkt->kind + zero) & 7;
}

__inline bool is_fragment_packet(const struct packet *pkt)
{
	return pkt->kind == KIND_FRAGMENT || pkt->kind == KIND_ICMP_FRAGMENT;
}

__inline enum verdict send(struct xdp_md *ctx, const struct state *now, const struct settings *settings,
			   const struct bind *bind, const struct link *link, const struct packet *pkt, bool usual)
{
	__u64 tunnel_len = tunnel_length(number_of_hops(settings, bind, usual));
	enum verdict verdict;
	struct hops hops;
	__u32 mtu;

	if (unlikely(tunnel_len + pkt->len > settings->mtu)) {
		mtu = path_mtu(now, settings, bind, &pkt->flow, usual);
		if (tunnel_len + pkt->len > mtu)
			return answer_too_big(ctx, settings, link, pkt, mtu - tunnel_len);
	}
	if (!make_room(ctx, pkt, tunnel_len))
		return DROP_NO_HEADROOM;
	hops = choose(now, settings, bind, &pkt->flow, usual);
	verdict = encapsulate(ctx, now, settings, link, pkt, &hops, usual);
	if (verdict == ENCAPSULATED || verdict == REDIRECTED) {
		count_traffic(bind->traffic, pkt->len);
		count_traffic(hops.first->traffic, pkt->len);
	}
	return verdict;
}

/* Everything after parsing. The compiler makes one copy for each family, in which the family is a constant. */
__inline enum verdict serve(struct xdp_md *ctx, const struct state *now, const struct settings *settings,
			    struct link *link, struct packet *pkt, enum fault fault)
{
	enum verdict answered;
	struct bind *bind;
	__u64 selector;

	if (fault)
		return verdict_of(fault);
	capture_before(ctx, &pkt->flow);
	if (pkt->kind == KIND_OTHER)
		return PASS_NO_BIND;
	if (pkt->kind == KIND_STRANGE_FRAGMENT)
		return PASS_FRAGMENT;
	selector = selector_of(pkt);
	hide_kind(pkt, settings->zero);
	bind = find_bind(settings, pkt, selector);
	if (!bind)
		return is_fragment_packet(pkt) ? PASS_FRAGMENT : pass_unbound(ctx, settings, link, pkt);
	if (unlikely(!bind->hops))
		return PASS_FRAGMENT;
	if (unlikely(is_martian(&pkt->flow)))
		return DROP_MARTIAN;
	if (unlikely(pkt->kind == KIND_ECHO && settings->flags & ANSWER_ECHO)) {
		answered = answer_echo(ctx, settings, pkt, link);
		if (answered)
			return answered;
	}
	if (unlikely(!pkt->hop_limit))
		return DROP_TTL_ZERO;
	if (likely(is_usual(settings, bind)))
		return send(ctx, now, settings, bind, link, pkt, true);
	return send(ctx, now, settings, bind, link, pkt, false);
}

__inline enum verdict direct(struct xdp_md *ctx)
{
	struct cursor c = cursor_of(ctx);
	struct settings *settings;
	struct packet pkt;
	struct state *now;
	struct link link;
	enum fault fault;
	int zero = 0;

	use_full_stack();
	now = state.lookup(&zero);
	if (!now)
		return DROP_NO_STATE;
	settings = &now->settings[READ_ONCE(now->generation) & (GENERATIONS - 1)];
	barrier_var(settings); /* keeps the sum in a register */
	if (!parse_link(&c, &link))
		return DROP_SHORT_FRAME;
	if (link.protocol != ETHERTYPE_IPV4 && link.protocol != ETHERTYPE_IPV6)
		return PASS_NOT_IP;
	if (link.destination != settings->mac)
		return PASS_OTHER_HOST;
	if (likely(link.protocol == ETHERTYPE_IPV4)) {
		fault = parse_ipv4_packet(ctx, &c, &pkt);
		pkt.flow.family = 4;
		return serve(ctx, now, settings, &link, &pkt, fault);
	}
	fault = parse_ipv6_packet(ctx, &c, &pkt);
	pkt.flow.family = 6;
	return serve(ctx, now, settings, &link, &pkt, fault);
}

int director(struct xdp_md *ctx)
{
	enum verdict verdict = direct(ctx);

	capture_after(ctx, verdict);
	return conclude(verdict);
}
