/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The proxy's maps: its settings. What it decides, the kernel's sockets know. These structs have no second definition:
 * Python takes them from the compiled program. */
#pragma once

#include "types.h"

#include "proxy_verdicts.h"
#include "verdict.h"

#define MAX_NAMESPACES 8
#define MAX_SOURCES 4096

struct proxy_settings {
	__u32 check_sources; /* 0: tunnelled packets are taken from anybody */
	__u32 num_namespaces;
	__u32 namespaces[MAX_NAMESPACES]; /* ids, as this network namespace numbers its peers */
};

struct source_key {
	__u32 prefix_len;
	__be32 address;
};

BPF_ARRAY(proxy_settings, struct proxy_settings, 1);
BPF_LPM_TRIE(sources, struct source_key, __u32, MAX_SOURCES);
