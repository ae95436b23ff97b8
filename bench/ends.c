/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The programs at the two ends of a wire. */
#include <linux/bpf.h>

BPF_PERCPU_ARRAY(received, __u64, 1);

/* Where packets come back: each is counted, and that is its end. */
int count_and_drop(struct xdp_md *ctx)
{
	int zero = 0;
	__u64 *count = received.lookup(&zero);

	if (count)
		(*count)++;
	return XDP_DROP;
}

int reflect(struct xdp_md *ctx)
{
	return XDP_TX;
}

int to_stack(struct xdp_md *ctx)
{
	return XDP_PASS;
}
