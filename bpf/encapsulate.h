/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Writing the tunnel's headers in front of the client's packet. */
#pragma once

#include "checksum.h"
#include "choose.h"
#include "gue.h"
#include "link.h"

#define IPV4_DONT_FRAGMENT __constant_htons(0x4000)
#define TUNNEL_TTL 64
#define TUNNEL_PORT_BASE 0x8000

/* AF_INET, which no UAPI header of the kernel defines. */
#define FIB_FAMILY_IPV4 2

__inline __u64 tunnel_length(__u64 hops)
{
	return sizeof(struct tunnel) + (hops - 1) * sizeof(__be32);
}

/* A flow keeps its source port, so that ECMP and RSS on the path preserve its order. */
__inline __u64 tunnel_source_port(const struct packet *pkt, const struct hops *hops)
{
	return bpf_htons((hops->hash ^ bpf_ntohs(pkt->entropy)) | TUNNEL_PORT_BASE);
}

/* Subtracts 16 bits from a 16-bit ones' complement: a borrow is carried around to the low end. */
__inline __s64 take_off(__s64 complement, __u64 value)
{
	complement -= value;
	return complement + (complement >> 63);
}

/* The checksum is the complement of a sum: subtracts TOS and length from that of all other fields. */
__inline __u64 tunnel_checksum(const struct backend *backend, __u64 tos, __u64 len)
{
	return bpf_htons(take_off(take_off(backend->checksum, len), tos));
}

/* Words of struct tunnel that are the same for every packet. */
#define VERSION_TO_FRAGMENT (0x45 | (__u64)IPV4_DONT_FRAGMENT << 48)
#define TTL_AND_PROTOCOL (TUNNEL_TTL | IPPROTO_UDP << 8)

/* Writes struct tunnel by words: a write for each field would cost more than all else here. */
__inline void write_tunnel(void *t, const struct settings *settings, const struct packet *pkt, const struct hops *hops)
{
	const struct backend *first = hops->first;
	__u64 protocol = pkt->flow.family == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	__u64 len = tunnel_length(hops->count) + pkt->len;
	__u64 tos = pkt->tos & settings->tos_mask;
	__u64 udp_len = bpf_htons(len - sizeof(struct iphdr)); /* and no checksum */
	__u64 ports = tunnel_source_port(pkt, hops) | (__u64)GUE_PORT << 16;

	*(__u64 *)(t + offsetof(struct tunnel, ip)) = VERSION_TO_FRAGMENT | tos << 8 | (__u64)bpf_htons(len) << 16;
	*(__u32 *)(t + offsetof(struct tunnel, ip.ttl)) = TTL_AND_PROTOCOL | tunnel_checksum(first, tos, len) << 16;
	*(__u64 *)(t + offsetof(struct tunnel, ip.saddr)) = *(const __u64 *)&first->source;
	*(__u64 *)(t + offsetof(struct tunnel, udp)) = ports | udp_len << 32;
	*(__u64 *)(t + offsetof(struct tunnel, gue)) = first->gue | protocol << 8;
}

/* Writes the hops of a row from number `from` on. */
__inline bool write_row(struct cursor *c, const struct state *now, const struct hops *hops, const struct row *row,
			__u64 from)
{
	__be32 *hop;

#pragma unroll
	for (__u64 i = from; i < MAX_ROW_HOPS; i++) {
		if (i >= hops->per_row)
			return true;
		hop = advance(c, sizeof(*hop));
		if (!hop)
			return false;
		*hop = find_backend(now, hops, row, i)->address;
	}
	return true;
}

/* For rows of one slot. There is always room for the hops of a full slot, since at least an IP header follows. */
__inline bool write_slot(struct cursor *c, const struct state *now, const struct hops *hops)
{
	__be32 *further = advance(c, (HOPS_PER_SLOT - 1) * sizeof(*further));

	if (!further)
		return false;
#pragma unroll
	for (__u64 i = 1; i < HOPS_PER_SLOT; i++) {
		if (i >= hops->per_row)
			break;
		further[i - 1] = find_backend(now, hops, &hops->row, i)->address;
	}
	return true;
}

/* The first hop is the outer destination, and is not in the list. */
__inline bool write_hops(struct cursor *c, const struct state *now, const struct hops *hops, bool usual)
{
	if (usual)
		return write_slot(c, now, hops);
	if (!write_row(c, now, hops, &hops->row, 1))
		return false;
	return hops->count == hops->per_row || write_row(c, now, hops, &hops->alternative, 0);
}

/* Removes the padding that the link added to a short packet. */
__inline bool cut_padding(struct xdp_md *ctx, const struct packet *pkt)
{
	return likely(pkt->padding <= 0) || !bpf_xdp_adjust_tail(ctx, -pkt->padding);
}

/* Writes the link's header for the interface that the kernel chose, with the tags of a VLAN device if it is one. The
 * tags that the frame was received with belong to the interface that received it. */
__inline bool replace_link(struct xdp_md *ctx, const struct link *link, const struct vlan *vlan,
			   const struct bpf_fib_lookup *fib)
{
	__u64 num_tags = vlan ? vlan->num_tags : 0;
	int surplus = (int)link->len - (int)(sizeof(struct ethhdr) + num_tags * sizeof(struct vlan_tag));
	struct vlan_tag *tag;
	struct ethhdr *eth;
	struct cursor c;

	if (surplus && bpf_xdp_adjust_head(ctx, surplus))
		return false;
	c = cursor_of(ctx);
	eth = advance(&c, sizeof(*eth));
	if (!eth)
		return false;
	__builtin_memcpy(eth->h_dest, fib->dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, fib->smac, ETH_ALEN);
	set_ethertype(eth, num_tags ? vlan->protocol[0] : ETHERTYPE_IPV4);
#pragma unroll
	for (__u64 i = 0; i < MAX_VLAN_TAGS; i++) {
		if (!vlan || i >= num_tags)
			break;
		tag = advance(&c, sizeof(*tag));
		if (!tag)
			return false;
		tag->control = vlan->control[i];
		tag->protocol = i + 1 < MAX_VLAN_TAGS && i + 1 < num_tags ? vlan->protocol[i + 1] : ETHERTYPE_IPV4;
	}
	return true;
}

/* Sends the packet by the interface of the kernel's route. */
__inline enum verdict route(struct xdp_md *ctx, const struct settings *settings, const struct link *link,
			    const struct packet *pkt, const struct hops *hops)
{
	struct bpf_fib_lookup fib = {
		.family = FIB_FAMILY_IPV4,
		.l4_protocol = IPPROTO_UDP,
		.tot_len = tunnel_length(hops->count) + pkt->len,
		.ifindex = ctx->ingress_ifindex,
		.ipv4_src = settings->source,
		.ipv4_dst = hops->first->address,
	};
	const struct vlan *vlan;
	__u32 ifindex;

	switch (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		break;
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		return DROP_TOO_BIG;
	default:
		return DROP_NO_ROUTE;
	}
	ifindex = fib.ifindex;
	vlan = vlans.lookup(&ifindex);
	if (vlan)
		ifindex = vlan->ifindex;
	if (!replace_link(ctx, link, vlan, &fib))
		return DROP_NO_HEADROOM;
	if (ifindex == ctx->ingress_ifindex)
		return ENCAPSULATED;
	bpf_redirect(ifindex, 0);
	return REDIRECTED;
}

/* Called before the hops are chosen: the processor moves the head while it still hashes. */
__inline bool make_room(struct xdp_md *ctx, const struct packet *pkt, __u64 tunnel_len)
{
	return cut_padding(ctx, pkt) && !bpf_xdp_adjust_head(ctx, -(int)tunnel_len);
}

__inline enum verdict encapsulate(struct xdp_md *ctx, const struct state *now, const struct settings *settings,
				  const struct link *link, const struct packet *pkt, const struct hops *hops,
				  bool usual)
{
	struct cursor c = cursor_of(ctx);
	struct ethhdr *eth = write_link(&c, c, tunnel_length(hops->count), link, ETHERTYPE_IPV4);
	struct tunnel *tunnel = advance(&c, sizeof(*tunnel));

	if (!eth || !tunnel || !write_hops(&c, now, hops, usual))
		return DROP_NO_HEADROOM;
	write_tunnel(tunnel, settings, pkt, hops);
	if (!usual && settings->flags & EGRESS_FIB)
		return route(ctx, settings, link, pkt, hops);
	if (unlikely(!hops->first->macs))
		return DROP_NO_NEXT_HOP;
	*(__u64 *)eth = hops->first->macs;
	*((__u32 *)eth + 2) = settings->mac >> 16;
	return ENCAPSULATED;
}
