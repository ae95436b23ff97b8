/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The director's verdicts. `glbctl stats` and the documentation use these names; glb/datapath/verdicts.py reads this
 * list. */
#pragma once

/* clang-format off */
#define VERDICTS(X) \
	X(CONTINUE,             XDP_ABORTED, "not a verdict: returned by a step if the next step follows") \
	X(ENCAPSULATED,         XDP_TX,   "matched a bind, sent through the tunnel") \
	X(REDIRECTED,           XDP_REDIRECT, "matched a bind, sent through the tunnel by another interface") \
	X(ANSWERED_ECHO,        XDP_TX,   "an echo request to a VIP, answered by the director") \
	X(ANSWERED_TOO_BIG,     XDP_TX,   "too big for the tunnel: answered with the MTU that fits") \
	X(PASS_NOT_IP,          XDP_PASS, "neither IPv4 nor IPv6: left to the stack") \
	X(PASS_OTHER_HOST,      XDP_PASS, "addressed to another host's MAC (flooded by a switch): left to the stack") \
	X(PASS_NO_BIND,         XDP_PASS, "no bind matches: left to the stack") \
	X(PASS_PATH_MTU,        XDP_PASS, "ICMP fragmentation needed about a packet of the tunnel: left to the stack, where the daemon reads it") \
	X(PASS_TUNNEL_ERROR,    XDP_PASS, "another ICMP error about a packet of the tunnel: left to the stack") \
	X(PASS_FRAGMENT,        XDP_PASS, "a fragment whose table is unknown: left to the stack") \
	X(DROP_SHORT_FRAME,     XDP_DROP, "the frame ends inside its Ethernet header or VLAN tags") \
	X(DROP_BAD_IP,          XDP_DROP, "the IP header or an extension header is cut off or contradicts itself") \
	X(DROP_BAD_LENGTH,      XDP_DROP, "the IP packet's length contradicts the frame or its own header") \
	X(DROP_BAD_L4,          XDP_DROP, "the TCP, UDP or ICMP header is cut off or contradicts the packet") \
	X(DROP_BAD_ICMP_QUOTE,  XDP_DROP, "the packet quoted in an ICMP error is cut off or contradicts itself") \
	X(DROP_MARTIAN,         XDP_DROP, "to a bind, from an address that no client has: unspecified, loopback, multicast, the VIP itself") \
	X(DROP_TTL_ZERO,        XDP_DROP, "to a bind, with a TTL or hop limit of 0, which a tunnel must not carry (RFC 2003)") \
	X(DROP_NO_NEXT_HOP,     XDP_DROP, "the backend's next hop is not resolved yet") \
	X(DROP_NO_ROUTE,        XDP_DROP, "the kernel's routes or neighbours do not lead to the backend") \
	X(DROP_TOO_BIG,         XDP_DROP, "too big for the tunnel, and no ICMP error may be sent about it") \
	X(DROP_ANSWER_LIMIT,    XDP_DROP, "an echo or a packet that is too big, beyond the rate limit of answers") \
	X(DROP_NO_HEADROOM,     XDP_DROP, "the driver left no room in front of the frame for the tunnel headers") \
	X(DROP_NO_STATE,        XDP_DROP, "the state map is missing, which the loader rules out")
/* clang-format on */
