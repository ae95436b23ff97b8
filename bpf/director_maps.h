/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The director's maps. Python takes these structs from the compiled program.
 *
 * Everything that a table consists of exists in two generations. Userspace writes the idle one and then switches
 * `state.generation`, one aligned word; a packet reads that word once, so it sees one table or the other, never a
 * mixture. Before a generation is written again, userspace waits for a grace period: then no program that read it is
 * still running (glb/datapath/rcu.py).
 *
 * The loader defines the capacities. */
#pragma once

#include "gue.h"
#include "parse.h"
#include "types.h"

#include "director_verdicts.h"
#include "verdict.h"

#define GENERATIONS 2
#define ROWS_PER_TABLE 65536

/* hash_fields and alt_hash_fields; 0 in the latter means no alternative row. */
#define HASH_SRC_ADDR 1
#define HASH_DST_ADDR 2
#define HASH_SRC_PORT 4
#define HASH_DST_PORT 8

/* settings.flags */
#define ANSWER_ECHO 1
#define EGRESS_FIB 2
#define CHOSEN_FIELDS 4 /* hash fields other than the source address, or alternative ones */
#define WIDE_BINDS 8	/* there are binds in wide_binds */

/* Without any of these, the common configuration's code is used: choose.h. */
#define UNUSUAL (EGRESS_FIB | CHOSEN_FIELDS)

struct settings {
	__u64 mac;	       /* as in parse.h */
	__u64 bind_multiplier; /* of the hash of binds */
	__be32 source;	       /* of the outer IPv4 header */
	__u32 mtu;	       /* the smallest of all paths, in bytes of outer packet */
	__u32 flags;
	__u16 hash_fields;
	__u16 alt_hash_fields;
	__u32 first_bind; /* index of this generation's first bind in `binds` */
	__u32 zero;	  /* 0, which the verifier does not know */
	__u32 tos_mask;	  /* the bits of DSCP and ECN that are copied to the outer header */
};

/* Addresses as in struct flow. */
struct bind_key {
	__be32 address[4];
	__be16 port; /* 0 for ICMP and fragments */
	__u8 protocol;
	__u8 family; /* 4 or 6, with FRAGMENTS for fragments of the protocol to the address; 0: unused entry */
};

#define FRAGMENTS 0x80

/* All that is needed to find a packet's row, in one cache line. */
struct bind {
	struct bind_key key;
	__u16 rows;	     /* of the table: the number of their first block in `rows` */
	__u16 hops;	     /* in each row, 1 to 8; 0: the table of these fragments is unknown */
	__u64 hash_state[4]; /* of SipHash, initialised with the table's key: siphash.h */
	__u32 first_backend; /* in state.backends */
	__u32 traffic;	     /* in `traffic` */
};

_Static_assert(sizeof(struct bind) == 64, "a bind is one cache line");

#define HOPS_PER_SLOT 4

/* A row is one or two slots: up to 8 backends of its table, best first. Entries after the bind's number of hops have no
 * meaning. */
struct slot {
	__u16 backend[HOPS_PER_SLOT];
};

/* A proxy, with the words of its tunnel headers that are the same for every packet: glb/datapath/tunnel.py. */
struct backend {
	__u64 macs;	/* the Ethernet header's first 8 bytes; 0: the next hop is not known */
	__be32 source;	/* the outer source; the destination follows, as in the header */
	__be32 address; /* of the proxy, the outer destination */
	__u64 gue;	/* GUE's fixed part and GLB's private data without the inner protocol */
	__u16 checksum; /* of the outer header, in host order, as if TOS and length were 0 */
	__u16 mtu;	/* of the path to the proxy: bytes of outer packet */
	__u32 traffic;	/* in `traffic` */
};

#define BACKEND_BYTES 32
_Static_assert(sizeof(struct backend) == BACKEND_BYTES, "two backends are a cache line");

/* One value, so that one lookup reaches all of it. The number of backends is a power of two. They are declared as
 * bytes, because bcc generates code for each member of each element of an array of structs. */
struct state {
	__u32 generation;
	struct settings settings[GENERATIONS];
	struct backend backend; /* unused: describes the entries of `backends` to userspace */
	__u8 backends[MAX_BACKENDS * GENERATIONS * BACKEND_BYTES];
};

/* Binds with more than one address or port. The trie gives the longest prefix. Its port ranges are disjoint, ascending,
 * and include those of shorter prefixes: userspace has resolved all overlaps. */
struct wide_key {
	__u32 prefix_len; /* counted from `generation` */
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

/* Packets and bytes of a bind or a backend. Userspace assigns an entry to each and keeps it over reloads. */
struct traffic {
	__u64 packets;
	__u64 bytes; /* of clients' IP packets, without the tunnel */
};

/* A route may name a VLAN device. Frames then leave by the interface below it, with its tags, which bpf_fib_lookup()
 * does not give. The key is the VLAN device's index; tags are in the order in which they are sent. */
struct vlan {
	__u32 ifindex;
	__u32 num_tags; /* 1 or MAX_VLAN_TAGS */
	__be16 protocol[MAX_VLAN_TAGS];
	__be16 control[MAX_VLAN_TAGS];
};

#define MAX_VLANS 4096

#define MMAPABLE 1024

BPF_F_TABLE("array", __u32, struct state, state, 1, MMAPABLE);

/* In each generation a cuckoo hash table of MAX_BINDS entries, filled by userspace (glb/datapath/cuckoo.py). The binds
 * that ranges refer to follow all of them. */
BPF_F_TABLE("array", __u32, struct bind, binds, (MAX_BINDS + MAX_RANGES) * GENERATIONS, MMAPABLE);

/* Blocks of ROWS_PER_TABLE slots: one block for a table whose rows are one slot, two if they are two. */
BPF_F_TABLE("array", __u32, struct slot, rows, MAX_SLOTS *GENERATIONS, MMAPABLE);

BPF_F_TABLE("array", __u32, struct range, ranges, MAX_RANGES *GENERATIONS, MMAPABLE);
BPF_LPM_TRIE(wide_binds, struct wide_key, struct wide_bind, MAX_WIDE_BINDS *GENERATIONS);
BPF_HASH(vlans, __u32, struct vlan, MAX_VLANS);
BPF_PERCPU_ARRAY(traffic, struct traffic, MAX_TRAFFIC);
