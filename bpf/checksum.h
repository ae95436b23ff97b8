/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The Internet checksum (RFC 1071) and its incremental update (RFC 1624). Sums are of 16-bit words in the
 * order of memory; the checksum does not depend on the byte order in which they are added. */
#pragma once

#include "types.h"

__inline __sum16 checksum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

__inline __u32 sum_of_be32(__be32 value)
{
	return (value & 0xffff) + (value >> 16);
}

/* Over a header without options, as if its checksum field were 0. */
__inline __sum16 ipv4_checksum(const struct iphdr *ip)
{
	const __u16 *word = (const void *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += i == 5 ? 0 : word[i];
	return checksum_fold(sum);
}

/* The checksum after words with the sum `before` were replaced by words with the sum `after`. */
__inline __sum16 checksum_replace(__sum16 check, __u32 before, __u32 after)
{
	__u32 complement = (~before & 0xffff) + ((~before >> 16) & 0xffff);

	return checksum_fold((__u16)~check + complement + after);
}
