/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The proxy's maps: its settings. What it decides, the kernel's sockets know. These structs have no second definition:
 * Python takes them from the compiled program. */
#pragma once

#include "types.h"

#include "proxy_verdicts.h"
#include "verdict.h"

#define MAX_NAMESPACES 8
#define MAX_SOURCES 4096
#define MAX_ADDRESSES 4096
#define MAX_HOPS_KNOWN 4096

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

/* The MACs (as in parse.h) on the way to fellow proxies, which userspace resolves; and the proxies that it is asked to resolve, of which
 * the least recently used ones are forgotten. */
BPF_HASH(next_hops, __be32, __u64, MAX_HOPS_KNOWN);
BPF_TABLE("lru_hash", __be32, __u8, wanted_hops, MAX_HOPS_KNOWN);

/* Packets that were sent on, by the hop that they went to; of more hops than these, the least recently used begin anew. */
BPF_TABLE("lru_percpu_hash", __be32, __u64, forwards, MAX_HOPS_KNOWN);
