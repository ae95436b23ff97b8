/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The kernel does not restore a frame between the iterations of one test run. So the program that is run is one of
 * these: it makes the frame what it was at first, and then tail-calls the program under test. All of them cost the same
 * whichever program is under test, and that is measured with one that returns at once (floors.c).
 *
 * What a program put in front of the frame is found by the frame's length; nothing may have changed behind it. */
#include <linux/bpf.h>

#define HEAD_WORDS 8
#define ETHERNET_LEN 14
#define MOST_GROWTH 255
#define MMAPABLE 1024

/* The frame as it was at first: its length, its first 64 bytes. */
struct frame {
	__u32 length;
	__u32 table_mask; /* destinations of the flows, less one: a power of two less one */
	__u32 source;	  /* of flow 0, in host order */
	__u32 destination;
	__u64 head[HEAD_WORDS];
};

BPF_F_TABLE("array", __u32, struct frame, frame, 1, MMAPABLE);
BPF_ARRAY(next_flow, __u32, 1);
BPF_PROG_ARRAY(under_test, 1);

static __always_inline struct frame *first_frame(void)
{
	int zero = 0;

	return frame.lookup(&zero);
}

static __always_inline long growth(struct xdp_md *ctx, const struct frame *first)
{
	return (long)ctx->data_end - (long)ctx->data - first->length;
}

static __always_inline void copy_ethernet(void *to, const struct frame *first)
{
	const void *head = first->head;

	*(__u64 *)to = *(const __u64 *)head;
	*(__u32 *)(to + 8) = *(const __u32 *)(head + 8);
	*(__u16 *)(to + 12) = *(const __u16 *)(head + 12);
}

/* For programs that put headers in front of an IP packet and leave the packet alone. The Ethernet header is written
 * before the head is moved, so that the writes are over when the program under test reads. */
int harness_front(struct xdp_md *ctx)
{
	struct frame *first = first_frame();
	long grown;
	void *at;

	if (!first)
		return XDP_ABORTED;
	grown = growth(ctx, first);
	if (grown < 0 || grown > MOST_GROWTH)
		return XDP_ABORTED;
	at = (void *)(long)ctx->data + grown;
	if (at + ETHERNET_LEN > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	copy_ethernet(at, first);
	if (bpf_xdp_adjust_head(ctx, grown))
		return XDP_ABORTED;
	under_test.call(ctx, 0);
	return XDP_ABORTED;
}

/* The IPv4 addresses of one flow of many. The identification makes up for them, so that the checksum stays right: in the
 * first frame it is 0xffff. */
static __always_inline void set_flow(void *ip, const struct frame *first, __u32 number)
{
	__u32 client = number & 0x3ffff;
	__u32 table = (number * 0x9e3779b1U >> 16) & first->table_mask;
	__u32 sum = (client & 0xffff) + (client >> 16) + table;

	sum = (sum & 0xffff) + (sum >> 16);
	*(__u16 *)(ip + 4) = __builtin_bswap16(~sum);
	*(__u32 *)(ip + 12) = __builtin_bswap32(first->source + client);
	*(__u32 *)(ip + 16) = __builtin_bswap32(first->destination + table);
}

/* The same with each iteration a packet of another flow, so that it finds another row. */
int harness_flows(struct xdp_md *ctx)
{
	struct frame *first = first_frame();
	int zero = 0;
	__u32 *next = next_flow.lookup(&zero);
	long grown;
	void *at;

	if (!first || !next)
		return XDP_ABORTED;
	grown = growth(ctx, first);
	if (grown < 0 || grown > MOST_GROWTH)
		return XDP_ABORTED;
	at = (void *)(long)ctx->data + grown;
	if (at + ETHERNET_LEN + 20 > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	copy_ethernet(at, first);
	set_flow(at + ETHERNET_LEN, first, (*next)++);
	if (bpf_xdp_adjust_head(ctx, grown))
		return XDP_ABORTED;
	under_test.call(ctx, 0);
	return XDP_ABORTED;
}

/* For programs that take headers off, or change them: the frame's first 64 bytes are written back. */
int harness_whole(struct xdp_md *ctx)
{
	struct frame *first = first_frame();
	__u64 *to;

	if (!first || bpf_xdp_adjust_head(ctx, growth(ctx, first)))
		return XDP_ABORTED;
	to = (void *)(long)ctx->data;
	if ((void *)(to + HEAD_WORDS) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
#pragma unroll
	for (int i = 0; i < HEAD_WORDS; i++)
		to[i] = first->head[i];
	under_test.call(ctx, 0);
	return XDP_ABORTED;
}

/* The kernel's live frames, which it makes from used ones: sends each as a packet of another flow. */
int generate(struct xdp_md *ctx)
{
	struct frame *first = first_frame();
	int zero = 0;
	__u32 *next = next_flow.lookup(&zero);
	__u64 *to = (void *)(long)ctx->data;

	if (!first || !next || (void *)(to + HEAD_WORDS) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
#pragma unroll
	for (int i = 0; i < HEAD_WORDS; i++)
		to[i] = first->head[i];
	set_flow((void *)to + ETHERNET_LEN, first, (*next)++);
	return XDP_TX;
}
