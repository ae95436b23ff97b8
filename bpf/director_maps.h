/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The director's maps. These structs have no second definition: Python takes them from the compiled program.
 *
 * Everything that a table consists of exists in two generations. Userspace writes the idle one and then switches
 * `state.generation`, one aligned word; a packet reads that word once, so it sees one table or the other, never a
 * mixture. Before a generation is written again, userspace waits until no packet that read it can still be on its way
 * (glb/datapath/rcu.py).
 *
 * The capacities come from the loader. */
#pragma once

#include "gue.h"
#include "parse.h"
#include "types.h"

#include "director_verdicts.h"
#include "verdict.h"

#define GENERATIONS 2
#define ROWS_PER_TABLE 65536

/* hash_fields and alt_hash_fields; 0 in the latter: no alternative row. */
#define HASH_SRC_ADDR 1
#define HASH_DST_ADDR 2
#define HASH_SRC_PORT 4
#define HASH_DST_PORT 8

/* settings.flags */
#define ANSWER_ECHO 1
#define EGRESS_FIB 2
#define CHOSEN_FIELDS 4 /* other hash fields than the source address, or alternative ones */
#define WIDE_BINDS 8	/* some bind needs more than the exact lookup */

/* What a packet's way is not compiled for alone: choose.h. */
#define UNUSUAL (EGRESS_FIB | CHOSEN_FIELDS)

struct settings {
	__u64 mac;	       /* as in parse.h */
	__u64 bind_multiplier; /* of the hash by which binds are found */
	__be32 source;	       /* of the outer IPv4 header */
	__u32 mtu;	       /* an outer packet of this length fits on every path */
	__u32 flags;
	__u16 hash_fields;
	__u16 alt_hash_fields;
	__u32 first_bind; /* of this generation, in `binds` */
	__u32 zero;	  /* which the verifier does not know to be 0 */
	__u32 tos_mask;	  /* what of DSCP and ECN is copied to the outer header */
};

/* Addresses as in struct flow. */
struct bind_key {
	__be32 address[4];
	__be16 port; /* 0 for ICMP and fragments */
	__u8 protocol;
	__u8 family; /* 4 or 6, with FRAGMENTS those of this protocol to this address; 0 where there is no bind */
};

#define FRAGMENTS 0x80

/* All that the way from a packet to its row needs, in one cache line. */
struct bind {
	struct bind_key key;
	__u16 rows;	     /* of the table: the number of their first block in `rows` */
	__u16 hops;	     /* in each row, 1 to 8; 0: fragments here do not tell their table */
	__u64 hash_state[4]; /* of SipHash, begun with the table's key: siphash.h */
	__u32 first_backend; /* in state.backends */
	__u32 traffic;	     /* in `traffic` */
};

_Static_assert(sizeof(struct bind) == 64, "a bind is one cache line");

#define HOPS_PER_SLOT 4

/* A row is one or two slots: up to 8 backends of its table, best first. What is behind the bind's number of hops has no
 * meaning. */
struct slot {
	__u16 backend[HOPS_PER_SLOT];
};

/* A proxy, with what the headers that lead to it are made of: userspace has put together what no packet changes. */
struct backend {
	__u64 macs;	/* the Ethernet header's first 8 bytes; 0: the next hop is not known */
	__be32 source;	/* the outer header's, which stands in front of the destination there too */
	__be32 address; /* of the proxy */
	__u64 gue;	/* GUE's fixed part and GLB's private data but for the inner protocol */
	__u16 checksum; /* the outer header's, in host order, as if TOS and length were 0 */
	__u16 mtu;	/* of the path to the proxy: bytes of outer packet */
	__u32 traffic;	/* in `traffic` */
};

#define BACKEND_BYTES 32
_Static_assert(sizeof(struct backend) == BACKEND_BYTES, "two backends are a cache line");

/* One value, so that one lookup reaches all of it: a power of two of backends, behind what is asked of every packet. They
 * are bytes here since bcc compiles code of its own for each member of each element of an array that is not. */
struct state {
	__u32 generation;
	struct settings settings[GENERATIONS];
	struct backend backend; /* not used: tells userspace what each of the backends below looks like */
	__u8 backends[MAX_BACKENDS * GENERATIONS * BACKEND_BYTES];
};

/* Binds with more than one address or port. The trie gives the longest prefix; its intervals of ports are disjoint,
 * ascending, and already hold what shorter prefixes contribute: userspace has settled who wins. */
struct wide_key {
	__u32 prefix_len; /* counts from `generation` on */
	__u16 generation;
	__u16 fragment;
	__u16 protocol;
	__u16 family;
	__be32 address[4];
};

struct wide_bind {
	__u32 first_range; /* in `ranges` */
	__u32 num_ranges;
};

struct range {
	__u16 port_start;
	__u16 port_end;
	__u32 bind; /* in `binds` */
};

/* What a bind or a backend was sent. Userspace gives each its entry, and keeps it over reloads. */
struct traffic {
	__u64 packets;
	__u64 bytes; /* of clients' IP packets, without the tunnel */
};

/* What the kernel's routes name as a way out may be a VLAN device: frames then leave by the interface below it, with its tags,
 * which the kernel's lookup does not give. By the VLAN device's index; tags are in the order in which they are sent. */
struct vlan {
	__u32 ifindex;
	__u32 num_tags; /* 1 or MAX_VLAN_TAGS */
	__be16 protocol[MAX_VLAN_TAGS];
	__be16 control[MAX_VLAN_TAGS];
};

#define MAX_VLANS 4096

#define MMAPABLE 1024

BPF_F_TABLE("array", __u32, struct state, state, 1, MMAPABLE);

/* In each generation a hash table of MAX_BINDS entries, each of which stands at one of two places, where userspace put it
 * (glb/datapath/cuckoo.py). Behind all of them, the binds that ranges name. */
BPF_F_TABLE("array", __u32, struct bind, binds, (MAX_BINDS + MAX_RANGES) * GENERATIONS, MMAPABLE);

/* Blocks of ROWS_PER_TABLE slots: one for a table whose rows are one slot, or two. */
BPF_F_TABLE("array", __u32, struct slot, rows, MAX_SLOTS *GENERATIONS, MMAPABLE);

BPF_F_TABLE("array", __u32, struct range, ranges, MAX_RANGES *GENERATIONS, MMAPABLE);
BPF_LPM_TRIE(wide_binds, struct wide_key, struct wide_bind, MAX_WIDE_BINDS *GENERATIONS);
BPF_HASH(vlans, __u32, struct vlan, MAX_VLANS);
BPF_PERCPU_ARRAY(traffic, struct traffic, MAX_TRAFFIC);
