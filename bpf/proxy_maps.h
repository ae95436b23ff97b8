/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The proxy's maps: its settings, and what it remembers for a moment of what the kernel's sockets know. These structs have
 * no second definition: Python takes them from the compiled program. */
#pragma once

#include "types.h"

#include "proxy_verdicts.h"
#include "verdict.h"

#define MAX_NAMESPACES 8
#define MAX_SOURCES 4096
#define MAX_ADDRESSES 4096
#define MAX_HOPS_KNOWN 4096
#define RECENT_BITS 13 /* of the number of connections that a CPU remembers */

/* Few networks are found faster by a look at each than in a trie. */
#define FIRST_SOURCES 4

struct network {
	__be32 mask;
	__be32 address; /* within the mask; with an empty mask all ones, which nobody has */
};

struct proxy_settings {
	__u32 check_sources;   /* 0: tunnelled packets are taken from anybody */
	__u32 check_addresses; /* 0: and whomever they are addressed to */
	__be32 address;	       /* the interface's first: nearly all tunnels end there */
	struct network first_sources[FIRST_SOURCES];
	__u64 gateway_mac;     /* as in parse.h, of the router that can route to any hop; 0: there is none */
	__u32 num_namespaces;
	__u32 namespaces[MAX_NAMESPACES]; /* ids, as this network namespace numbers its peers */
};

struct source_key {
	__u32 prefix_len;
	__be32 address;
};

BPF_ARRAY(proxy_settings, struct proxy_settings, 1);
BPF_LPM_TRIE(sources, struct source_key, __u32, MAX_SOURCES);
BPF_HASH(addresses, __be32, __u8, MAX_ADDRESSES);

/* The way to a fellow proxy. */
struct next_hop {
	__u64 mac;     /* as in parse.h; the same on each CPU */
	__u64 packets; /* that were sent on to it */
};

/* The proxies to which userspace has found the way; and those to which it is asked to find it, with the packets that were
 * sent on to them meanwhile. Of the latter, the least recently used ones are forgotten. */
BPF_TABLE("percpu_hash", __be32, struct next_hop, next_hops, MAX_HOPS_KNOWN);
BPF_TABLE("lru_hash", __be32, __u64, wanted_hops, MAX_HOPS_KNOWN);

/* A connection that was established here when the kernel was last asked: recent.h. */
struct recent {
	__u64 until; /* in jiffies */
	__u64 ports; /* and the family */
	__u64 src[2];
	__u64 dst[2];
};

BPF_PERCPU_ARRAY(recent, struct recent, 1 << RECENT_BITS);
