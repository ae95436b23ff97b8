/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which packets are accepted from the tunnel: of a kind that directors send, to a VIP of this host, from an address
 * that a client may have. Other packets would let a sender reach more of the host than its VIPs. */
#pragma once

#include "decapsulate.h"
#include "martian.h"
#include "packet.h"
#include "proxy_maps.h"
#include "recent.h"

/* Only what a director classifies. The stack trusts ICMP redirects and neighbour discovery because they cannot pass a
 * router (RFC 4861, 3.1), and would decapsulate IPIP and GRE once more. */
__inline bool is_served(const struct packet *pkt)
{
	__u8 icmp = pkt->flow.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;

	return pkt->kind != KIND_OTHER &&
	       (pkt->flow.protocol == IPPROTO_TCP || pkt->flow.protocol == IPPROTO_UDP || pkt->flow.protocol == icmp);
}

/* The addresses of the IP header. The flow of an ICMP error has its source from the quoted packet. */
__inline void read_addresses(const struct packet *pkt, __u64 *src, __u64 *dst)
{
	if (pkt->flow.family == 4) {
		const struct iphdr *ip = pkt->ip;

		set_ipv4(src, ip->saddr);
		set_ipv4(dst, ip->daddr);
		return;
	}
	set_ipv6(src, &((const struct ipv6hdr *)pkt->ip)->saddr);
	set_ipv6(dst, &((const struct ipv6hdr *)pkt->ip)->daddr);
}

/* What the stack calls a martian, and network 0, which RFC 6890 does not allow as a source on the wire. */
__inline bool is_from_no_client(__u8 family, const __u64 *src)
{
	return is_no_host(src, family) || (family == 4 && !(src[0] & 0xff));
}

__inline bool is_among_first_vips(const struct proxy_settings *settings, __u8 family, const __u64 *address)
{
#pragma unroll
	for (int i = 0; i < FIRST_NETWORKS; i++) {
		const struct network *vip = &settings->first_vips[i];
		const struct network6 *vip6 = &settings->first_vips6[i];

		if (family == 4 && ((__u32)address[0] & vip->mask) == vip->address)
			return true;
		if (family == 6 && (address[0] & vip6->mask[0]) == vip6->address[0] &&
		    (address[1] & vip6->mask[1]) == vip6->address[1])
			return true;
	}
	return false;
}

__inline __u32 *find_place(__u8 family, const __u64 *address)
{
	struct place_key key = {
		.prefix_len = family == 4 ? 64 : 160,
		.family = family,
		.address = { address[0], address[1] },
	};

	return places.lookup(&key);
}

__inline bool is_vip(const struct proxy_settings *settings, __u8 family, const __u64 *address)
{
	__u32 *place;

	if (likely(is_among_first_vips(settings, family, address)))
		return true;
	place = find_place(family, address);
	return place && *place == PLACE_VIP;
}

/* The hash of an address by which glb/datapath/proxy_layout.py fills the filter. */
__inline bool may_be_local(const struct proxy_settings *settings, const __u64 *address)
{
	__u64 hash = (address[0] ^ address[1]) * GOLDEN_RATIO >> (64 - FILTER_BITS);

	return settings->filter[hash >> 6] >> (hash & 63) & 1;
}

/* The host's own addresses, VIPs included. */
__inline bool is_local(const struct proxy_settings *settings, __u8 family, const __u64 *address)
{
	return is_among_first_vips(settings, family, address) ||
	       (unlikely(may_be_local(settings, address)) && find_place(family, address));
}

/* The tunnel's end is never a VIP, even if the host has the address on its loopback interface beside the VIPs. */
__inline bool ends_tunnel(const struct tunnel_end *end, __u8 family, const __u64 *address)
{
	return family == 4 && address[0] == end->address;
}

/* The health check of a backend as a whole: an echo to the address at which its tunnel ends (docs/health.md). */
__inline bool is_health_check(const struct tunnel_end *end, const struct packet *pkt)
{
	return pkt->flow.family == 4 && pkt->kind == KIND_ECHO && pkt->flow.dst[0] == end->address;
}

__inline enum verdict admit(const struct proxy_settings *settings, const struct tunnel_end *end,
			    const struct packet *pkt)
{
	__u8 family = pkt->flow.family;
	__u64 src[2], dst[2];

	if (unlikely(!is_served(pkt)))
		return DROP_NOT_SERVED;
	read_addresses(pkt, src, dst);
	if (unlikely(ends_tunnel(end, family, dst) || !is_vip(settings, family, dst)) && !is_health_check(end, pkt))
		return DROP_NOT_VIP;
	if (unlikely(is_from_no_client(family, src)) || is_local(settings, family, src))
		return DROP_MARTIAN;
	return CONTINUE;
}
