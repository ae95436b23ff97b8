/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* bcc's own copy of bpf.h is newer than the system's, and wins by the guard. */
#define CONFIG_BPF_SYSCALL 1
#define __LINUX_BPF_H__
