/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The proxy's maps: settings, next hops, and recently seen connections. Python takes these structs from the compiled
 * program. */
#pragma once

#include "gue.h"
#include "types.h"

#include "proxy_verdicts.h"
#include "verdict.h"

#define MAX_NAMESPACES 8
#define MAX_NETWORKS 4096
#define MAX_ADDRESSES 4096
#define MAX_PLACES 16384
#define MAX_HOPS_KNOWN 4096
/* Userspace resolves each of them, so a sender must not be able to create many. */
#define MAX_HOPS_WANTED 256
#define RECENT_BITS 13 /* log2 of the connections that a CPU remembers */

/* A few networks are compared one by one, which is faster than a trie. */
#define FIRST_NETWORKS 4

/* An unused entry has an empty mask and an address of all ones, which matches nothing. */
struct network {
	__be32 mask;
	__be32 address;
};

struct network6 {
	__u64 mask[2]; /* as in struct flow */
	__u64 address[2];
};

/* A Bloom filter of one hash over the single addresses in `places`: an address whose bit is clear is not there. */
#define FILTER_BITS 12

struct proxy_settings {
	__u32 check_sources;   /* 0: tunnelled packets are accepted from any address */
	__u32 check_addresses; /* 0: tunnels may end at any address */
	__be32 address;	       /* the interface's first, at which nearly all tunnels end */
	struct network first_networks[FIRST_NETWORKS];
	__u64 macs[2];	   /* as in parse.h: of the interface, and of its bond or bridge */
	__u64 gateway_mac; /* of the router to use for unresolved hops; 0: none */
	__u32 num_namespaces;
	__u32 namespaces[MAX_NAMESPACES]; /* ids by which this network namespace numbers its peers */
	/* VIPs from `places`; none contains an address that is not a VIP. */
	struct network first_vips[FIRST_NETWORKS];
	struct network6 first_vips6[FIRST_NETWORKS];
	__u64 filter[1 << (FILTER_BITS - 6)];
};

struct network_key {
	__u32 prefix_len;
	__be32 address;
};

/* family is 4 or 6, and counts as the first 32 bits of the prefix. The address is as in struct flow. */
struct place_key {
	__u32 prefix_len;
	__u32 family;
	__u64 address[2];
};

#define PLACE_OWN 0 /* an address that the host uses itself */
#define PLACE_VIP 1

BPF_ARRAY(proxy_settings, struct proxy_settings, 1);
/* The hosts that packets may be forwarded to; if check_sources is set, the only allowed sources of tunnelled
 * packets. */
BPF_LPM_TRIE(networks, struct network_key, __u32, MAX_NETWORKS);
/* The addresses at which a tunnel may end: the IPv4 addresses of this host. */
BPF_HASH(addresses, __be32, __u8, MAX_ADDRESSES);
/* What is local to this host: the longest prefix decides whether an address is a VIP or the host's own. */
BPF_LPM_TRIE(places, struct place_key, __u32, MAX_PLACES);

/* The next hop to a peer proxy. */
struct next_hop {
	__u64 mac;     /* as in parse.h; the same on each CPU */
	__u64 packets; /* forwarded to the proxy */
};

/* The proxies whose next hop userspace has resolved; and those that it shall resolve, with the packets that were
 * forwarded to them meanwhile. The least recently used of the latter are evicted. */
BPF_TABLE("percpu_hash", __be32, struct next_hop, next_hops, MAX_HOPS_KNOWN);
BPF_TABLE("lru_hash", __be32, __u64, wanted_hops, MAX_HOPS_WANTED);

/* The same value, unknown to the verifier, by adding and subtracting a word that it does not know: the verifier then
 * follows the code after it once, not for each verdict. */
__inline __u64 without_knowledge(const struct proxy_settings *settings, __u64 value)
{
	__u64 unknown = settings->gateway_mac;

	value += unknown;
	barrier_var(value);
	return value - unknown;
}

/* A copy of a packet's hops, which the verifier lets be read at a variable index. */
struct hop_list {
	__be32 hop[MAX_HOPS];
};

BPF_PERCPU_ARRAY(hop_list, struct hop_list, 1);

/* A connection that was established here at the last socket lookup: recent.h. */
struct recent {
	__u64 until; /* in jiffies */
	__u64 ports; /* and the family */
	__u64 src[2];
	__u64 dst[2];
};

BPF_PERCPU_ARRAY(recent, struct recent, 1 << RECENT_BITS);
