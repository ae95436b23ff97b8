/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Included first by both programs: the kernel's wire formats and a few macros. */
#pragma once

#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#define NULL ((void *)0)
#define true 1
#define false 0
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define __inline static __always_inline
#define offsetof(type, member) __builtin_offsetof(type, member)
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))

/* Hides a value from the compiler's optimiser, so that the check after it is compiled as written: the verifier tracks a
 * masked length or a compared pointer, but not an equivalent form of it. */
#define barrier_var(x) asm volatile("" : "+r"(x))

/* The verifier of Linux 6.18 fails if two paths that meet have used different amounts of stack ("verifier bug: stack
 * slot 26, total slots 26"). Writing the last word of the stack at the start makes every path use all of it. */
#define use_full_stack() asm volatile("*(u64 *)(r10 - 512) = %0" : : "r"(0ULL))

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "headers are read and written a word at a time, put together for little-endian machines"
#endif

#define ETHERTYPE_IPV4 __constant_htons(ETH_P_IP)
#define ETHERTYPE_IPV6 __constant_htons(ETH_P_IPV6)
#define ETHERTYPE_VLAN __constant_htons(ETH_P_8021Q)
#define ETHERTYPE_QINQ __constant_htons(ETH_P_8021AD)
