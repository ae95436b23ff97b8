/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The guard makes bcc's own copy of bpf.h, which is newer than the system's, the only one. */
#define CONFIG_BPF_SYSCALL 1
#define __LINUX_BPF_H__
