/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The proxy's verdicts. `glbctl stats` and the documentation use these names; glb/datapath/verdicts.py reads this
 * list. */
#pragma once

/* clang-format off */
#define VERDICTS(X) \
	X(CONTINUE,             XDP_ABORTED, "not a verdict: returned by a step if the next step follows") \
	X(TAKEN_SYN,            XDP_PASS, "a new connection: decapsulated here") \
	X(TAKEN_ESTABLISHED,    XDP_PASS, "a socket here knows the connection: decapsulated") \
	X(TAKEN_HANDSHAKE,      XDP_PASS, "the ACK that completes a half-open connection here: decapsulated") \
	X(TAKEN_SYNCOOKIE,      XDP_PASS, "the ACK carries a SYN cookie of a listener here: decapsulated") \
	X(TAKEN_CONNECTIONLESS, XDP_PASS, "UDP, ICMP or a fragment, which have no connection: decapsulated") \
	X(TAKEN_SELF,           XDP_PASS, "unknown, and the next hop is this proxy itself: decapsulated") \
	X(TAKEN_LAST_RESORT,    XDP_PASS, "unknown, and no hop is left: decapsulated, for the stack to answer") \
	X(FORWARDED,            XDP_TX,   "unknown: forwarded to the next hop, its second chance") \
	X(PASS_NOT_TUNNEL,      XDP_PASS, "not GUE to port 19523: left to the stack") \
	X(PASS_OTHER_HOST,      XDP_PASS, "GUE to this host in a frame for another MAC (flooded, broadcast): left to the stack") \
	X(DROP_FOREIGN_SOURCE,  XDP_DROP, "GUE from a host that is not one of the configured sources") \
	X(DROP_BAD_TUNNEL,      XDP_DROP, "the outer IP, UDP or GUE header is cut off or contradicts itself") \
	X(DROP_BAD_HOPS,        XDP_DROP, "the list of hops contradicts the header's length") \
	X(DROP_FOREIGN_HOP,     XDP_DROP, "unknown, and the next hop is not a host that packets may be forwarded to") \
	X(DROP_BAD_INNER,       XDP_DROP, "the packet inside the tunnel is cut off or contradicts itself") \
	X(DROP_TTL_ZERO,        XDP_DROP, "the packet inside the tunnel has a TTL or hop limit of 0 (RFC 2003)") \
	X(DROP_NOT_SERVED,      XDP_DROP, "the packet inside is of a kind that no director sends") \
	X(DROP_NOT_VIP,         XDP_DROP, "the packet inside is not addressed to a VIP of this host") \
	X(DROP_MARTIAN,         XDP_DROP, "the packet inside has a source address that no client has") \
	X(DROP_CONGESTION,      XDP_DROP, "congestion in the tunnel, which the packet inside cannot signal (RFC 6040)") \
	X(DROP_NO_ROOM,         XDP_DROP, "the driver could not move the start of the frame") \
	X(DROP_NO_STATE,        XDP_DROP, "the settings map is missing, which the loader rules out")
/* clang-format on */
