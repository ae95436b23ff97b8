/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The least that a program under test can do. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

/* What the director writes for a row of three: the outer destination and two further hops. */
struct headers {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__u8 gue[4];
	__u8 glb[4];
	__be32 hops[2];
} __attribute__((packed));

#define GROWTH ((int)(sizeof(struct headers) - sizeof(struct ethhdr)))

_Static_assert(sizeof(struct headers) == 14 + 44, "no holes in the headers");

/* (a) Send the frame back as it is. */
int floor_at_once(struct xdp_md *ctx)
{
	return XDP_TX;
}

/* (b) Put headers of the director's length in front, the same for every packet. */
int floor_headers(struct xdp_md *ctx)
{
	struct headers *to;

	if (bpf_xdp_adjust_head(ctx, -GROWTH))
		return XDP_ABORTED;
	to = (void *)(long)ctx->data;
	if ((void *)(to + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	to->eth = (struct ethhdr){
		.h_dest = { 2, 0, 0, 0, 0, 0xfe },
		.h_source = { 2, 0, 0, 0, 0, 1 },
		.h_proto = __constant_htons(ETH_P_IP),
	};
	to->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = __constant_htons(94),
		.frag_off = __constant_htons(0x4000),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.check = __constant_htons(0x2695),
		.saddr = __constant_htonl(0x0a000001),
		.daddr = __constant_htonl(0x0a00000b),
	};
	to->udp = (struct udphdr){
		.source = __constant_htons(0x8123),
		.dest = __constant_htons(19523),
		.len = __constant_htons(74),
	};
	to->gue[0] = 3;
	to->gue[1] = IPPROTO_IPIP;
	to->gue[2] = to->gue[3] = 0;
	to->glb[0] = to->glb[1] = to->glb[2] = 0;
	to->glb[3] = 2;
	to->hops[0] = __constant_htonl(0x0a00000c);
	to->hops[1] = __constant_htonl(0x0a00000d);
	return XDP_TX;
}

/* (c) The same headers in the fewest writes. */
int floor_words(struct xdp_md *ctx)
{
	__u64 *to;

	if (bpf_xdp_adjust_head(ctx, -GROWTH))
		return XDP_ABORTED;
	to = (void *)(long)ctx->data;
	if ((void *)to + sizeof(struct headers) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	to[0] = 0x0002fe0000000002ULL;
	to[1] = 0x0045000801000000ULL;
	to[2] = 0x1140004000005e00ULL;
	to[3] = 0x000a0100000a9526ULL;
	to[4] = 0x4a00434c23810b00ULL;
	to[5] = 0x0000000004030000ULL;
	to[6] = 0x000a0c00000a0200ULL;
	*(__u16 *)(to + 7) = 0x0d00;
	return XDP_TX;
}

/* Where the bench's proxies find the inner packet: behind a tunnel with two further hops. */
#define INNER_IP 58
#define INNER_TCP (INNER_IP + 20)

/* (d) Nothing but the kernel's search for an established connection's socket, which a proxy cannot do without, and the
 * release of what it found: for the inner packet's addresses and ports, unchecked. */
int floor_lookup(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;

	if (data + INNER_TCP + 4 > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	tuple.ipv4.saddr = *(__be32 *)(data + INNER_IP + 12);
	tuple.ipv4.daddr = *(__be32 *)(data + INNER_IP + 16);
	tuple.ipv4.sport = *(__be16 *)(data + INNER_TCP);
	tuple.ipv4.dport = *(__be16 *)(data + INNER_TCP + 2);
	sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return XDP_ABORTED;
	bpf_sk_release(sk);
	return XDP_PASS;
}
