/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What guests are shown on real processors of both vendors, on one that has hardly anything and on one
 * that has everything: word for word.
 */
#include <stdio.h>

#include "core_fixture.h"

/*
 * Leaf and ECX; the host's EAX, EBX, ECX and EDX; the guest's, where the guest has that leaf. Leaves that
 * are not here are 0 on the host.
 */
/* clang-format off */
/* Intel Xeon Gold 6154 (Skylake) */
static const char *const skylake[] = {
	"       0 0  00000016 756e6547 6c65746e 49656e69  00000016 756e6547 6c65746e 49656e69",
	"       1 0  00050654 00400800 7ffefbff bfebfbff  00050654 00000800 f7fa3203 178bfbff",
	"       2 0  76036301 00f0b5ff 00000000 00c30000  76036301 00f0b5ff 00000000 00c30000",
	"       4 0  7c004121 01c0003f 0000003f 00000000  00000121 01c0003f 0000003f 00000000",
	"       4 1  7c004122 01c0003f 0000003f 00000000  00000122 01c0003f 0000003f 00000000",
	"       4 2  7c004143 03c0003f 000003ff 00000000  00000143 03c0003f 000003ff 00000000",
	"       4 3  7c0fc163 0280003f 00008fff 00000004  00000163 0280003f 00008fff 00000004",
	"       5 0  00000040 00000040 00000003 00002020",
	"       6 0  00000077 00000002 00000009 00000000  00000004 00000000 00000000 00000000",
	"       7 0  00000000 d39ffffb 00000008 00000000  00000001 d19f07ab 00000008 00000000",
	"       7 1  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000",
	"       a 0  07300404 00000000 00000000 00000603",
	"       b 0  00000001 00000002 00000100 00000000  00000000 00000001 00000100 00000000",
	"       b 1  00000006 00000024 00000201 00000000  00000000 00000001 00000201 00000000",
	"       d 0  000002ff 00000340 00000a88 00000000  000002e7 00000340 00000a88 00000000",
	"       d 1  0000000f 00000340 00000100 00000000  00000007 00000000 00000000 00000000",
	"       d 2  00000100 00000240 00000000 00000000  00000100 00000240 00000000 00000000",
	"       d 3  00000040 000003c0 00000000 00000000",
	"       d 4  00000040 00000400 00000000 00000000",
	"       d 5  00000040 00000440 00000000 00000000  00000040 00000440 00000000 00000000",
	"       d 6  00000200 00000480 00000000 00000000  00000200 00000480 00000000 00000000",
	"       d 7  00000400 00000680 00000000 00000000  00000400 00000680 00000000 00000000",
	"       d 8  00000080 00000000 00000001 00000000",
	"       d 9  00000008 00000a80 00000000 00000000  00000008 00000a80 00000000 00000000",
	"       f 0  00000000 0000008f 00000000 00000002",
	"      10 0  00000000 0000000a 00000000 00000000",
	"      14 0  00000001 0000000f 00000007 00000000",
	"      15 0  00000002 000000f0 00000000 00000000",
	"      16 0  00000bb8 00000e74 00000064 00000000",
	"40000000 0  00000000 00000000 00000000 00000000  40000000 6d726546 46617461 61746d72",
	"80000000 0  80000008 00000000 00000000 00000000  80000008 00000000 00000000 00000000",
	"80000001 0  00000000 00000000 00000121 2c100800  00000000 00000000 00000121 2c100800",
	"80000002 0  65746e49 2952286c 6f655820 2952286e  65746e49 2952286c 6f655820 2952286e",
	"80000003 0  6c6f4720 31362064 43203435 40205550  6c6f4720 31362064 43203435 40205550",
	"80000004 0  302e3320 7a484730 00000000 00000000  302e3320 7a484730 00000000 00000000",
	"80000005 0  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000",
	"80000006 0  00000000 00000000 01006040 00000000  00000000 00000000 01006040 00000000",
	"80000007 0  00000000 00000000 00000000 00000100  00000000 00000000 00000000 00000100",
	"80000008 0  0000302e 00000000 00000000 00000000  0000302e 00000000 00000000 00000000",
};

/* Intel Core i7-4770 (Haswell); its system has loaded microcode since */
static const char *const haswell[] = {
	"       0 0  0000000d 756e6547 6c65746e 49656e69  0000000d 756e6547 6c65746e 49656e69",
	"       1 0  000306c3 00100800 7ffafbff bfebfbff  000306c3 00000800 f7fa3203 178bfbff",
	"       2 0  76036301 00f0b5ff 00000000 00c10000  76036301 00f0b5ff 00000000 00c10000",
	"       4 0  1c004121 01c0003f 0000003f 00000000  00000121 01c0003f 0000003f 00000000",
	"       4 1  1c004122 01c0003f 0000003f 00000000  00000122 01c0003f 0000003f 00000000",
	"       4 2  1c004143 01c0003f 000001ff 00000000  00000143 01c0003f 000001ff 00000000",
	"       4 3  1c03c163 03c0003f 00001fff 00000006  00000163 03c0003f 00001fff 00000006",
	"       5 0  00000040 00000040 00000003 00042120",
	"       6 0  00000075 00000002 00000009 00000000  00000004 00000000 00000000 00000000",
	"       7 0  00000000 000027ab 00000000 00000000  00000001 000007ab 00000000 00000400",
	"       7 1  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000",
	"       a 0  07300403 00000000 00000000 00000603",
	"       b 0  00000001 00000002 00000100 00000000  00000000 00000001 00000100 00000000",
	"       b 1  00000004 00000008 00000201 00000000  00000000 00000001 00000201 00000000",
	"       d 0  00000007 00000340 00000340 00000000  00000007 00000340 00000340 00000000",
	"       d 1  00000001 00000000 00000000 00000000  00000001 00000000 00000000 00000000",
	"       d 2  00000100 00000240 00000000 00000000  00000100 00000240 00000000 00000000",
	"40000000 0  00000000 00000000 00000000 00000000  40000000 6d726546 46617461 61746d72",
	"80000000 0  80000008 00000000 00000000 00000000  80000008 00000000 00000000 00000000",
	"80000001 0  00000000 00000000 00000021 2c100000  00000000 00000000 00000021 2c100000",
	"80000002 0  65746e49 2952286c 726f4320 4d542865  65746e49 2952286c 726f4320 4d542865",
	"80000003 0  37692029 3737342d 50432030 20402055  37692029 3737342d 50432030 20402055",
	"80000004 0  30342e33 007a4847 00000000 00000000  30342e33 007a4847 00000000 00000000",
	"80000005 0  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000",
	"80000006 0  00000000 00000000 01006040 00000000  00000000 00000000 01006040 00000000",
	"80000007 0  00000000 00000000 00000000 00000100  00000000 00000000 00000000 00000100",
	"80000008 0  00003027 00000000 00000000 00000000  00003027 00001000 00000000 00000000",
};

/* AMD Opteron 2347 HE (family 10h) */
static const char *const k10[] = {
	"       0 0  00000005 68747541 444d4163 69746e65  00000005 68747541 444d4163 69746e65",
	"       1 0  00100f21 00040800 00802009 178bfbff  00100f21 00000800 81a02001 178bfbff",
	"       2 0  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000",
	"       5 0  00000040 00000040 00000003 00000000",
	"40000000 0  00000000 00000000 00000000 00000000  40000000 6d726546 46617461 61746d72",
	"80000000 0  8000001a 68747541 444d4163 69746e65  8000001a 68747541 444d4163 69746e65",
	"80000001 0  00100f21 00000afb 000007ff efd3fbff  00100f21 00000afb 000001e3 efd3fbff",
	"80000002 0  64617551 726f432d 4d412065 704f2044  64617551 726f432d 4d412065 704f2044",
	"80000003 0  6f726574 6d74286e 72502029 7365636f  6f726574 6d74286e 72502029 7365636f",
	"80000004 0  20726f73 37343332 00454820 00000000  20726f73 37343332 00454820 00000000",
	"80000005 0  ff30ff10 ff30ff20 40020140 40020140  ff30ff10 ff30ff20 40020140 40020140",
	"80000006 0  20800000 42004200 02008140 0010a140  20800000 42004200 02008140 0010a140",
	"80000007 0  00000000 00000000 00000000 000001f9  00000000 00000000 00000000 00000100",
	"80000008 0  00003030 00000000 00002003 00000000  00003030 00000000 00000000 00000000",
	"8000000a 0  00000001 00000040 00000000 00000007",
	"80000019 0  f0300000 00000000 00000000 00000000",
	"8000001a 0  00000003 00000000 00000000 00000000",
};

/* AMD EPYC 7551P (Zen) */
static const char *const zen[] = {
	"       0 0  0000000d 68747541 444d4163 69746e65  0000000d 68747541 444d4163 69746e65",
	"       1 0  00800f12 00400800 7ed8320b 178bfbff  00800f12 00000800 f7f83203 178bfbff",
	"       2 0  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000",
	"       5 0  00000040 00000040 00000003 00000011",
	"       6 0  00000004 00000000 00000001 00000000  00000004 00000000 00000000 00000000",
	"       7 0  00000000 209c01a9 00000000 00000000  00000001 209c01ab 00000000 00000000",
	"       7 1  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000",
	"       b 0  00000000 00000000 00000000 00000000  00000000 00000001 00000100 00000000",
	"       b 1  00000000 00000000 00000000 00000000  00000000 00000001 00000201 00000000",
	"       d 0  00000007 00000340 00000340 00000000  00000007 00000340 00000340 00000000",
	"       d 1  0000000f 00000340 00000000 00000000  00000007 00000000 00000000 00000000",
	"       d 2  00000100 00000240 00000000 00000000  00000100 00000240 00000000 00000000",
	"40000000 0  00000000 00000000 00000000 00000000  40000000 6d726546 46617461 61746d72",
	"80000000 0  8000001f 68747541 444d4163 69746e65  8000001f 68747541 444d4163 69746e65",
	"80000001 0  00800f12 40000000 35c233ff 2fd3fbff  00800f12 40000000 004001e3 2fd3fbff",
	"80000002 0  20444d41 43595045 35353720 33205031  20444d41 43595045 35353720 33205031",
	"80000003 0  6f432d32 50206572 65636f72 726f7373  6f432d32 50206572 65636f72 726f7373",
	"80000004 0  20202020 20202020 20202020 00202020  20202020 20202020 20202020 00202020",
	"80000005 0  ff40ff40 ff40ff40 20080140 40040140  ff40ff40 ff40ff40 20080140 40040140",
	"80000006 0  36006400 56006400 02006140 0200c140  36006400 56006400 02006140 0200c140",
	"80000007 0  00000000 0000001b 00000000 00006799  00000000 00000000 00000000 00000100",
	"80000008 0  00003030 00000007 0000603f 00000000  00003030 00000005 00000000 00000000",
	"8000000a 0  00000001 00008000 00000000 0001bcff",
	"80000019 0  f040f040 00000000 00000000 00000000",
	"8000001a 0  00000003 00000000 00000000 00000000",
	"8000001b 0  000003ff 00000000 00000000 00000000",
	"8000001d 0  00004121 01c0003f 0000003f 00000000  00000121 01c0003f 0000003f 00000000",
	"8000001d 1  00004122 00c0003f 000000ff 00000000  00000122 00c0003f 000000ff 00000000",
	"8000001d 2  00004143 01c0003f 000003ff 00000002  00000143 01c0003f 000003ff 00000002",
	"8000001d 3  0001c163 03c0003f 00001fff 00000001  00000163 03c0003f 00001fff 00000001",
	"8000001e 0  00000000 00000100 00000300 00000000  00000000 00000000 00000000 00000000",
	"8000001f 0  0000000f 0000016f 0000000f 00000001",
};

/* AMD EPYC (Zen 5), as another hypervisor shows it */
static const char *const zen5[] = {
	"       0 0  0000001c 68747541 444d4163 69746e65  0000001c 68747541 444d4163 69746e65",
	"       1 0  00b00f21 01020800 fffa3203 178bfbff  00b00f21 00000800 f7fa3203 178bfbff",
	"       2 0  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000",
	"       6 0  00000004 00000000 00000000 00000000  00000004 00000000 00000000 00000000",
	"       7 0  00000001 f1bf07ab 00405fc6 00000110  00000001 f1bf07ab 00405f46 00000110",
	"       7 1  00000030 00000000 00000000 00000000  00000030 00000000 00000000 00000000",
	"       b 0  00000000 00000001 00000100 00000001  00000000 00000001 00000100 00000000",
	"       b 1  00000005 00000002 00000201 00000001  00000000 00000001 00000201 00000000",
	"       d 0  000000e7 00000980 00000980 00000000  000000e7 00000980 00000980 00000000",
	"       d 1  0000000f 000009a8 00001800 00000000  00000007 00000000 00000000 00000000",
	"       d 2  00000100 00000240 00000000 00000000  00000100 00000240 00000000 00000000",
	"       d 5  00000040 00000340 00000000 00000000  00000040 00000340 00000000 00000000",
	"       d 6  00000200 00000380 00000000 00000000  00000200 00000380 00000000 00000000",
	"       d 7  00000400 00000580 00000000 00000000  00000400 00000580 00000000 00000000",
	"40000000 0  00000000 00000000 00000000 00000000  40000000 6d726546 46617461 61746d72",
	"80000000 0  80000021 68747541 444d4163 69746e65  80000021 68747541 444d4163 69746e65",
	"80000001 0  00b00f21 40000000 004003f3 2fd3fbff  00b00f21 40000000 004001e3 2fd3fbff",
	"80000002 0  20444d41 43595045 00000000 00000000  20444d41 43595045 00000000 00000000",
	"80000003 0  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000",
	"80000004 0  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000",
	"80000005 0  ff60ff40 ff60ff40 300c0140 20080140  ff60ff40 ff60ff40 300c0140 20080140",
	"80000006 0  40802040 60804040 04008140 0c009140  40802040 60804040 04008140 0c009140",
	"80000007 0  00000000 00000000 00000000 00000100  00000000 00000000 00000000 00000100",
	"80000008 0  00303030 50020005 00007001 00000000  00003030 00000005 00000000 00000000",
	"8000001d 0  00000121 02c0003f 0000003f 00000000  00000121 02c0003f 0000003f 00000000",
	"8000001d 1  00000122 01c0003f 0000003f 00000000  00000122 01c0003f 0000003f 00000000",
	"8000001d 2  00000143 03c0003f 000003ff 00000002  00000143 03c0003f 000003ff 00000002",
	"8000001d 3  00004163 03c0003f 00007fff 00000001  00000163 03c0003f 00007fff 00000001",
	"8000001e 0  00000001 00000001 00000000 00000000  00000000 00000000 00000000 00000000",
	"80000021 0  00000204 00000000 00000086 00000000  00000004 00000000 00000000 00000000",
};

/* A processor with the least there can be */
static const char *const least[] = {
	"       0 0  00000001 756e6547 6c65746e 49656e69  00000001 756e6547 6c65746e 49656e69",
	"       1 0  00000000 00000000 00000000 00000000  00000000 00000000 81200000 00000000",
	"40000000 0  00000000 00000000 00000000 00000000  40000000 6d726546 46617461 61746d72",
};

/* A processor that answers ones to everything */
static const char *const ones[] = {
	"       0 0  ffffffff 756e6547 6c65746e 49656e69  0000001f 756e6547 6c65746e 49656e69",
	"       1 0  ffffffff ffffffff ffffffff ffffffff  ffffffff 0000ff00 f7fa3203 178bfbff",
	"       2 0  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff ffffffff ffffffff",
	"       3 0  ffffffff ffffffff ffffffff ffffffff",
	"       4 0  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"       4 1  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"       4 2  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"       4 3  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"       4 4  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"       4 5  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"       4 6  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"       4 7  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"       5 0  ffffffff ffffffff ffffffff ffffffff",
	"       6 0  ffffffff ffffffff ffffffff ffffffff  00000004 00000000 00000000 00000000",
	"       7 0  ffffffff ffffffff ffffffff ffffffff  00000001 fdbf07ab 18415f4e 2080451c",
	"       7 1  ffffffff ffffffff ffffffff ffffffff  00001c30 00000000 00000000 00000000",
	"       7 2  ffffffff ffffffff ffffffff ffffffff",
	"       7 3  ffffffff ffffffff ffffffff ffffffff",
	"       8 0  ffffffff ffffffff ffffffff ffffffff",
	"       9 0  ffffffff ffffffff ffffffff ffffffff",
	"       a 0  ffffffff ffffffff ffffffff ffffffff",
	"       b 0  ffffffff ffffffff ffffffff ffffffff  00000000 00000001 00000100 00000000",
	"       b 1  ffffffff ffffffff ffffffff ffffffff  00000000 00000001 00000201 00000000",
	"       b 2  ffffffff ffffffff ffffffff ffffffff",
	"       b 3  ffffffff ffffffff ffffffff ffffffff",
	"       c 0  ffffffff ffffffff ffffffff ffffffff",
	"       d 0  ffffffff ffffffff ffffffff ffffffff  000002e7 ffffffff ffffffff 00000000",
	"       d 1  ffffffff ffffffff ffffffff ffffffff  00000007 00000000 00000000 00000000",
	"       d 2  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff 00000002 00000000",
	"       d 3  ffffffff ffffffff ffffffff ffffffff",
	"       d 5  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff 00000002 00000000",
	"       d 6  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff 00000002 00000000",
	"       d 7  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff 00000002 00000000",
	"       d 9  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff 00000002 00000000",
	"       d 10  ffffffff ffffffff ffffffff ffffffff",
	"       d 17  ffffffff ffffffff ffffffff ffffffff",
	"       d 18  ffffffff ffffffff ffffffff ffffffff",
	"       e 0  ffffffff ffffffff ffffffff ffffffff",
	"       f 0  ffffffff ffffffff ffffffff ffffffff",
	"      10 0  ffffffff ffffffff ffffffff ffffffff",
	"      11 0  ffffffff ffffffff ffffffff ffffffff",
	"      12 0  ffffffff ffffffff ffffffff ffffffff",
	"      13 0  ffffffff ffffffff ffffffff ffffffff",
	"      14 0  ffffffff ffffffff ffffffff ffffffff",
	"      15 0  ffffffff ffffffff ffffffff ffffffff",
	"      16 0  ffffffff ffffffff ffffffff ffffffff",
	"      17 0  ffffffff ffffffff ffffffff ffffffff",
	"      18 0  ffffffff ffffffff ffffffff ffffffff",
	"      19 0  ffffffff ffffffff ffffffff ffffffff",
	"      1a 0  ffffffff ffffffff ffffffff ffffffff",
	"      1b 0  ffffffff ffffffff ffffffff ffffffff",
	"      1c 0  ffffffff ffffffff ffffffff ffffffff",
	"      1d 0  ffffffff ffffffff ffffffff ffffffff",
	"      1e 0  ffffffff ffffffff ffffffff ffffffff",
	"      1f 0  ffffffff ffffffff ffffffff ffffffff",
	"40000000 0  ffffffff ffffffff ffffffff ffffffff  40000000 6d726546 46617461 61746d72",
	"40000001 0  ffffffff ffffffff ffffffff ffffffff",
	"80000000 0  ffffffff ffffffff ffffffff ffffffff  80000021 ffffffff ffffffff ffffffff",
	"80000001 0  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff 006109e3 efd3fbff",
	"80000002 0  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff ffffffff ffffffff",
	"80000003 0  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff ffffffff ffffffff",
	"80000004 0  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff ffffffff ffffffff",
	"80000005 0  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff ffffffff ffffffff",
	"80000006 0  ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff ffffffff ffffffff",
	"80000007 0  ffffffff ffffffff ffffffff ffffffff  00000000 00000000 00000000 00000100",
	"80000008 0  ffffffff ffffffff ffffffff ffffffff  0000ffff 00001205 00000000 00000000",
	"80000009 0  ffffffff ffffffff ffffffff ffffffff",
	"8000000a 0  ffffffff ffffffff ffffffff ffffffff",
	"8000000b 0  ffffffff ffffffff ffffffff ffffffff",
	"8000000c 0  ffffffff ffffffff ffffffff ffffffff",
	"8000000d 0  ffffffff ffffffff ffffffff ffffffff",
	"8000000e 0  ffffffff ffffffff ffffffff ffffffff",
	"8000000f 0  ffffffff ffffffff ffffffff ffffffff",
	"80000010 0  ffffffff ffffffff ffffffff ffffffff",
	"80000011 0  ffffffff ffffffff ffffffff ffffffff",
	"80000012 0  ffffffff ffffffff ffffffff ffffffff",
	"80000013 0  ffffffff ffffffff ffffffff ffffffff",
	"80000014 0  ffffffff ffffffff ffffffff ffffffff",
	"80000015 0  ffffffff ffffffff ffffffff ffffffff",
	"80000016 0  ffffffff ffffffff ffffffff ffffffff",
	"80000017 0  ffffffff ffffffff ffffffff ffffffff",
	"80000018 0  ffffffff ffffffff ffffffff ffffffff",
	"80000019 0  ffffffff ffffffff ffffffff ffffffff",
	"8000001a 0  ffffffff ffffffff ffffffff ffffffff",
	"8000001b 0  ffffffff ffffffff ffffffff ffffffff",
	"8000001c 0  ffffffff ffffffff ffffffff ffffffff",
	"8000001d 0  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"8000001d 1  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"8000001d 2  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"8000001d 3  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"8000001d 4  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"8000001d 5  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"8000001d 6  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"8000001d 7  ffffffff ffffffff ffffffff ffffffff  000003ff ffffffff ffffffff ffffffff",
	"8000001d 8  ffffffff ffffffff ffffffff ffffffff",
	"8000001e 0  ffffffff ffffffff ffffffff ffffffff  00000000 00000000 00000000 00000000",
	"8000001f 0  ffffffff ffffffff ffffffff ffffffff",
	"80000020 0  ffffffff ffffffff ffffffff ffffffff",
	"80000021 0  ffffffff ffffffff ffffffff ffffffff  00000045 00000000 00000000 00000000",
	"80000022 0  ffffffff ffffffff ffffffff ffffffff",
	"80000023 0  ffffffff ffffffff ffffffff ffffffff",
	"80000024 0  ffffffff ffffffff ffffffff ffffffff",
	"80000025 0  ffffffff ffffffff ffffffff ffffffff",
	"80000026 0  ffffffff ffffffff ffffffff ffffffff",
};

#define ROWS(name) name, ARRAY_SIZE(name)

static const struct {
	const char *const *rows;
	u32 count;
	u32 offers; /* host_offers() */
	u64 xcr0;
	/* what follows for the guest */
	u64 cr4, efer;
	u32 phys_bits, linear_bits;
	const char *facts;
} hosts[] = {
	{ ROWS(skylake), 0, 0x2e7, 0x7707ff, 0xd01, 46, 48, "rdtscp tsc_adjust mtrr mce" },
	{ ROWS(haswell), BIT(HOST_IBPB) | BIT(HOST_MD_CLEAR), 0x7, 0x1707ff, 0xd00, 39, 48, "rdtscp tsc_adjust mtrr mce ibpb" },
	{ ROWS(k10), 0, 0x0, 0x7ff, 0x4d01, 48, 48, "rdtscp mtrr mce amd" },
	{ ROWS(zen), 0, 0x7, 0x3507ff, 0x4d01, 48, 48, "rdtscp tsc_adjust mtrr mce amd" },
	{ ROWS(zen5), 0, 0xe7, 0x370fff, 0x4d01, 48, 48, "rdtscp tsc_adjust mtrr mce amd" },
	{ ROWS(least), 0, 0x0, 0x100, 0, 36, 48, "" },
	{ ROWS(ones), ~0u, 0x2e7, 0x771fff, 0x4d01, 255, 57, "rdtscp tsc_adjust mtrr mce ibpb capabilities" },
};
/* clang-format on */

static u32 host;

/* How many words there are in a row: 6 of a leaf that is hidden, 10 of one that is shown. */
static int parse(u32 row, u32 words[10])
{
	return sscanf(hosts[host].rows[row], "%x %u %x %x %x %x %x %x %x %x", &words[0], &words[1],
		      &words[2], &words[3], &words[4], &words[5], &words[6], &words[7], &words[8],
		      &words[9]);
}

static struct cpu_words answer(u32 leaf, u32 subleaf)
{
	u32 row, w[10];

	for (row = 0; row < hosts[host].count; row++) {
		assert_true(parse(row, w) >= 6);
		if (w[0] == leaf && w[1] == subleaf)
			return (struct cpu_words){ w[2], w[3], w[4], w[5] };
	}
	return (struct cpu_words){ 0 };
}

static bool has_subleaves(u32 leaf)
{
	return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x8000001d;
}

static void check_facts(const struct cpuid_table *t)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s%s%s%s%s%s", t->rdtscp ? "rdtscp" : "",
		 t->tsc_adjust ? " tsc_adjust" : "", t->mtrr ? " mtrr" : "", t->mce ? " mce" : "",
		 t->ibpb ? " ibpb" : "", t->arch_capabilities ? " capabilities" : "",
		 t->amd ? " amd" : "");
	assert_string_equal(text, hosts[host].facts);
	assert_true(t->x2apic && t->tsc_deadline);
	assert_false(t->kvmclock || t->kvmclock_stable);
	assert_int_equal(t->cr4_allowed, hosts[host].cr4);
	assert_int_equal(t->efer_allowed, hosts[host].efer);
	assert_int_equal(t->xcr0_allowed, hosts[host].xcr0);
	assert_int_equal(t->phys_bits, hosts[host].phys_bits);
	assert_int_equal(t->linear_bits, hosts[host].linear_bits);
}

static void shown(void **state)
{
	static struct fermata_cpuid offer;
	static struct cpuid_table table;
	u32 row, w[10];

	fake_processor.cpuid = answer;
	for (host = 0; host < ARRAY_SIZE(hosts); host++) {
		const struct fermata_cpuid_entry *e = offer.entry;

		host_test.offers = hosts[host].offers;
		cpuid_supported(&offer, hosts[host].xcr0);
		for (row = 0; row < hosts[host].count; row++) {
			if (parse(row, w) == 6)
				continue;
			assert_true(e < offer.entry + offer.count);
			assert_int_equal(e->leaf, w[0]);
			assert_int_equal(e->subleaf, w[1]);
			assert_int_equal(e->flags,
					 has_subleaves(e->leaf) ? FERMATA_CPUID_SUBLEAF : 0);
			assert_int_equal(e->eax, w[6]);
			assert_int_equal(e->ebx, w[7]);
			assert_int_equal(e->ecx, w[8]);
			assert_int_equal(e->edx, w[9]);
			e++;
		}
		assert_ptr_equal(e, offer.entry + offer.count);
		assert_int_equal(cpuid_set(&table, &offer, &offer), 0);
		check_facts(&table);
	}
	fake_processor.cpuid = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
