/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Showing packets as they come in and as they leave. Only a program that is built with CAPTURE, the number of CPUs, has any of
 * this: as long as somebody watches, such a twin stands in the place of the attached program, over the same maps (glb/datapath/twin.py).
 * While nobody does, watching costs nothing. */
#pragma once

#include "packet.h"
#include "verdict.h"

#ifdef CAPTURE

#define CAPTURE_BYTES 2048 /* of a frame, at most; a power of two, for the verifier */
#define CAPTURE_PAGES 1024 /* of the ring, a power of two */

#ifndef PAGE_SIZE
#define PAGE_SIZE 4096 /* which bcc's macro counts in */
#endif

/* What is wanted. A flow's words are compared under the masks; 0 as a port, protocol or family stands for any. */
struct capture_wish {
	__u64 until; /* when the watcher is taken for dead, on the clock of bpf_ktime_get_ns() */
	__u64 src[2], src_mask[2];
	__u64 dst[2], dst_mask[2];
	__u64 verdicts; /* one bit for each index */
	__be16 src_port, dst_port;
	__u8 protocol, family;
	__u8 flows_only; /* nothing of packets that have no flow */
	__u8 unused;
	__u32 one_in; /* how many that match; 1: each */
	__u32 bytes;  /* of each frame that are kept */
	__u32 unused_too;
};

struct capture_record {
	__u64 time; /* bpf_ktime_get_ns() at the end of the packet's visit */
	__u32 verdict;
	__u32 ifindex;
	__u32 before_len; /* of the whole frame */
	__u32 after_len;
	__u32 before_kept; /* bytes of it that are here */
	__u32 after_kept;
	__u8 bytes[2 * CAPTURE_BYTES]; /* as it came, then directly as it left */
};

#define CAPTURE_HEAD offsetof(struct capture_record, bytes)

/* A packet's visit, between its first look and its end. */
struct capture_visit {
	__u64 kept; /* whether the frame as it came is in the record */
	__u64 seen; /* whether its flow was looked at */
	__u64 lost; /* records for which the ring had no room, ever */
	struct capture_record record;
};

BPF_ARRAY(capture_wish, struct capture_wish, 1);
BPF_ARRAY(capture_visit, struct capture_visit, CAPTURE); /* one for each CPU: no visit is interrupted by another there */
BPF_RINGBUF_OUTPUT(capture_ring, CAPTURE_PAGES);

__inline struct capture_wish *the_wish(void)
{
	int zero = 0;

	return capture_wish.lookup(&zero);
}

__inline struct capture_visit *this_visit(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return capture_visit.lookup(&cpu);
}

__inline bool is_wanted(const struct capture_wish *wish, const struct flow *flow)
{
	__u64 other = ((flow->src[0] ^ wish->src[0]) & wish->src_mask[0]) |
		      ((flow->src[1] ^ wish->src[1]) & wish->src_mask[1]) |
		      ((flow->dst[0] ^ wish->dst[0]) & wish->dst_mask[0]) |
		      ((flow->dst[1] ^ wish->dst[1]) & wish->dst_mask[1]);

	return !other && (!wish->family || wish->family == flow->family) &&
	       (!wish->protocol || wish->protocol == flow->protocol) &&
	       (!wish->src_port || wish->src_port == flow->src_port) &&
	       (!wish->dst_port || wish->dst_port == flow->dst_port);
}

__inline bool is_chosen(const struct capture_wish *wish)
{
	return wish->one_in < 2 || bpf_get_prandom_u32() % wish->one_in == 0;
}

/* Copies the frame's head to bytes[at]; returns how much. */
__inline __u32 keep_bytes(struct xdp_md *ctx, const struct capture_wish *wish, struct capture_record *record, __u64 at)
{
	__u64 len = frame_length(ctx);

	if (len > wish->bytes)
		len = wish->bytes;
	barrier_var(len);
	barrier_var(at);
	len = ((len - 1) & (CAPTURE_BYTES - 1)) + 1; /* not 0, as verifiers before 6.8 would not believe a test */
	at &= CAPTURE_BYTES - 1;
	return bpf_xdp_load_bytes(ctx, 0, record->bytes + at, len) ? 0 : len;
}

/* Called where a packet's flow is known and nothing of it is changed yet. */
__inline void capture_before(struct xdp_md *ctx, const struct flow *flow)
{
	struct capture_visit *visit = this_visit();
	struct capture_wish *wish = the_wish();

	if (!wish || !visit)
		return;
	visit->seen = 1;
	if (bpf_ktime_get_ns() > wish->until || !is_wanted(wish, flow) || !is_chosen(wish))
		return;
	visit->record.before_len = frame_length(ctx);
	visit->record.before_kept = keep_bytes(ctx, wish, &visit->record, 0);
	visit->kept = 1;
}

/* A packet whose flow nobody looked at is as it came. */
__inline void capture_unseen(struct xdp_md *ctx, const struct capture_wish *wish, struct capture_visit *visit)
{
	if (visit->seen || wish->flows_only || bpf_ktime_get_ns() > wish->until || !is_chosen(wish))
		return;
	visit->record.before_len = frame_length(ctx);
	visit->record.before_kept = keep_bytes(ctx, wish, &visit->record, 0);
	visit->kept = 1;
}

/* Called at the end of a packet's visit. */
__inline void capture_after(struct xdp_md *ctx, enum verdict verdict)
{
	__u32 index = (__u32)verdict >> ACTION_BITS;
	__u64 size;
	struct capture_visit *visit = this_visit();
	struct capture_wish *wish = the_wish();
	struct capture_record *record;

	if (!wish || !visit)
		return;
	capture_unseen(ctx, wish, visit);
	visit->seen = 0;
	if (!visit->kept)
		return;
	visit->kept = 0;
	if (!(wish->verdicts >> (index & 63) & 1))
		return;
	record = &visit->record;
	record->time = bpf_ktime_get_ns();
	record->verdict = index;
	record->ifindex = ctx->ingress_ifindex;
	record->after_len = frame_length(ctx);
	record->after_kept = keep_bytes(ctx, wish, record, record->before_kept);
	size = record->before_kept + record->after_kept;
	barrier_var(size);
	size &= 2 * CAPTURE_BYTES - 1;
	if (capture_ring.ringbuf_output(record, CAPTURE_HEAD + size, 0))
		visit->lost++;
}

#else

__inline void capture_before(struct xdp_md *ctx, const struct flow *flow)
{
}

__inline void capture_after(struct xdp_md *ctx, enum verdict verdict)
{
}

#endif
