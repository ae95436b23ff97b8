/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Reports of packets as received and as they leave. Only a capture program has them: it is built with CAPTURE, the
 * number of CPUs, and replaces the attached program during a capture, over the same maps (glb/capture/program.py).
 * Without a capture, they cost nothing. */
#pragma once

#include "packet.h"
#include "verdict.h"

#ifdef CAPTURE

#define CAPTURE_BYTES 2048 /* of a frame, at most; a power of two, for the verifier */
#define CAPTURE_PAGES 1024 /* of the ring, a power of two */

#ifndef PAGE_SIZE
#define PAGE_SIZE 4096 /* which bcc's macro counts in */
#endif

/* Which packets are reported. A flow's words are compared under the masks; 0 as a port, protocol or family matches
 * any. */
struct capture_filter {
	__u64 until; /* the end of the session's lease, on the clock of bpf_ktime_get_ns() */
	__u64 src[2], src_mask[2];
	__u64 dst[2], dst_mask[2];
	__u64 verdicts; /* one bit for each index */
	__be16 src_port, dst_port;
	__u8 protocol, family;
	__u8 flows_only; /* no packets without a flow */
	__u8 unused;
	__u32 one_in; /* one in so many that match; 1: all */
	__u32 bytes;  /* kept of each frame */
	__u32 unused_too;
};

struct capture_record {
	__u64 time; /* bpf_ktime_get_ns() at the end of the program */
	__u32 verdict;
	__u32 ifindex;
	__u32 before_len; /* of the whole frame */
	__u32 after_len;
	__u32 before_kept; /* bytes of it in this record */
	__u32 after_kept;
	__u8 bytes[2 * CAPTURE_BYTES]; /* the frame as received, directly followed by the frame as it left */
};

#define CAPTURE_HEAD offsetof(struct capture_record, bytes)

/* What is kept of the present packet until the end of the program. */
struct capture_state {
	__u64 kept; /* whether the frame as received is in the record */
	__u64 seen; /* whether its flow was compared with the filter */
	__u64 lost; /* records for which the ring had no room, since the load */
	struct capture_record record;
};

BPF_ARRAY(capture_filter, struct capture_filter, 1);
/* One entry for each CPU: a program is not interrupted by another packet's. */
BPF_ARRAY(capture_state, struct capture_state, CAPTURE);
BPF_RINGBUF_OUTPUT(capture_ring, CAPTURE_PAGES);

__inline struct capture_filter *current_filter(void)
{
	int zero = 0;

	return capture_filter.lookup(&zero);
}

__inline struct capture_state *this_cpu_state(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return capture_state.lookup(&cpu);
}

__inline bool matches(const struct capture_filter *filter, const struct flow *flow)
{
	__u64 other = ((flow->src[0] ^ filter->src[0]) & filter->src_mask[0]) |
		      ((flow->src[1] ^ filter->src[1]) & filter->src_mask[1]) |
		      ((flow->dst[0] ^ filter->dst[0]) & filter->dst_mask[0]) |
		      ((flow->dst[1] ^ filter->dst[1]) & filter->dst_mask[1]);

	return !other && (!filter->family || filter->family == flow->family) &&
	       (!filter->protocol || filter->protocol == flow->protocol) &&
	       (!filter->src_port || filter->src_port == flow->src_port) &&
	       (!filter->dst_port || filter->dst_port == flow->dst_port);
}

__inline bool is_chosen(const struct capture_filter *filter)
{
	return filter->one_in < 2 || bpf_get_prandom_u32() % filter->one_in == 0;
}

/* Copies the frame's head to bytes[at]; returns the number of bytes. */
__inline __u32 keep_bytes(struct xdp_md *ctx, const struct capture_filter *filter, struct capture_record *record,
			  __u64 at)
{
	__u64 len = frame_length(ctx);

	if (len > filter->bytes)
		len = filter->bytes;
	barrier_var(len);
	barrier_var(at);
	len = ((len - 1) & (CAPTURE_BYTES - 1)) + 1; /* not 0: verifiers before 6.8 do not track a test for 0 */
	at &= CAPTURE_BYTES - 1;
	return bpf_xdp_load_bytes(ctx, 0, record->bytes + at, len) ? 0 : len;
}

/* Called when a packet's flow is known and the packet is still unchanged. */
__inline void capture_before(struct xdp_md *ctx, const struct flow *flow)
{
	struct capture_state *mine = this_cpu_state();
	struct capture_filter *filter = current_filter();

	if (!filter || !mine)
		return;
	mine->seen = 1;
	if (bpf_ktime_get_ns() > filter->until || !matches(filter, flow) || !is_chosen(filter))
		return;
	mine->record.before_len = frame_length(ctx);
	mine->record.before_kept = keep_bytes(ctx, filter, &mine->record, 0);
	mine->kept = 1;
}

/* A packet whose flow was never known is still unchanged. */
__inline void capture_unseen(struct xdp_md *ctx, const struct capture_filter *filter, struct capture_state *mine)
{
	if (mine->seen || filter->flows_only || bpf_ktime_get_ns() > filter->until || !is_chosen(filter))
		return;
	mine->record.before_len = frame_length(ctx);
	mine->record.before_kept = keep_bytes(ctx, filter, &mine->record, 0);
	mine->kept = 1;
}

/* Called at the end of the program. */
__inline void capture_after(struct xdp_md *ctx, enum verdict verdict)
{
	__u32 index = (__u32)verdict >> ACTION_BITS;
	__u64 size;
	struct capture_state *mine = this_cpu_state();
	struct capture_filter *filter = current_filter();
	struct capture_record *record;

	if (!filter || !mine)
		return;
	capture_unseen(ctx, filter, mine);
	mine->seen = 0;
	if (!mine->kept)
		return;
	mine->kept = 0;
	if (!(filter->verdicts >> (index & 63) & 1))
		return;
	record = &mine->record;
	record->time = bpf_ktime_get_ns();
	record->verdict = index;
	record->ifindex = ctx->ingress_ifindex;
	record->after_len = frame_length(ctx);
	record->after_kept = keep_bytes(ctx, filter, record, record->before_kept);
	size = record->before_kept + record->after_kept;
	barrier_var(size);
	size &= 2 * CAPTURE_BYTES - 1;
	if (capture_ring.ringbuf_output(record, CAPTURE_HEAD + size, 0))
		mine->lost++;
}

#else

__inline void capture_before(struct xdp_md *ctx, const struct flow *flow)
{
}

__inline void capture_after(struct xdp_md *ctx, enum verdict verdict)
{
}

#endif
