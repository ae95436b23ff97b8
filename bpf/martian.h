/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Addresses that no host behind a router can have. The rules are those of the kernel's stack: ip_route_input_slow() for
 * IPv4, ip6_rcv_core() and ip6_forward() for IPv6. */
#pragma once

#include "packet.h"

#define IPV4_LIMITED_BROADCAST 0xffffffff

/* The words of an IPv6 address in memory. */
#define IPV6_LINK_LOCAL_MASK 0xc0ffULL
#define IPV6_LINK_LOCAL 0x80feULL /* fe80::/10 */
#define IPV6_GLOBAL_MASK 0xe0ULL
#define IPV6_GLOBAL 0x20ULL	   /* 2000::/3 */
#define IPV6_LOOPBACK (1ULL << 56) /* of the second word */
#define IPV6_MAPPED 0xffff0000U	   /* of its lower half */

__inline bool is_no_host_ipv4(__be32 address)
{
	__u8 first = address; /* the byte that is sent first */

	if (likely(first - 1U < 126 || first - 128U < 96)) /* 1 to 126, 128 to 223 */
		return false;
	if (first == 0 || first >= 240)
		return !address || address == IPV4_LIMITED_BROADCAST;
	return true; /* loopback, multicast */
}

__inline bool is_no_host_ipv6(const __u64 *address)
{
	if (likely((address[0] & IPV6_GLOBAL_MASK) == IPV6_GLOBAL))
		return false;
	if ((address[0] & 0xff) == 0xff) /* multicast */
		return true;
	if ((address[0] & IPV6_LINK_LOCAL_MASK) == IPV6_LINK_LOCAL)
		return true;
	return !address[0] && (!address[1] || address[1] == IPV6_LOOPBACK || (__u32)address[1] == IPV6_MAPPED);
}

/* An address of a flow. */
__inline bool is_no_host(const __u64 *address, __u8 family)
{
	return family == 4 ? is_no_host_ipv4(address[0]) : is_no_host_ipv6(address);
}

/* Whether no client can have sent the packet: its source is no host's address, or the VIP itself. */
__inline bool is_martian(const struct flow *flow)
{
	if (unlikely(is_no_host(flow->src, flow->family)))
		return true;
	return unlikely(flow->src[0] == flow->dst[0]) && (flow->family == 4 || flow->src[1] == flow->dst[1]);
}
