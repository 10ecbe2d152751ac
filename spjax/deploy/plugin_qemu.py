"""Source of the QEMU plugin that counts what a Cortex-M executes.

Between the harness's markers it counts instructions, loads and stores, and taken
branches. QEMU ships no plugin and Debian no header, so the few functions that are used
are declared here, after QEMU's documentation of its plugin interface.
"""

SOURCE = r"""
/* arguments: out=FILE; FILE gets, per image, three uint64: instructions, data
   accesses, taken branches. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*tb_callback)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*insn_callback)(unsigned, void *);
typedef void (*mem_callback)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *);
typedef void (*end_callback)(qemu_plugin_id_t, void *);

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *,
                                                        size_t);
extern const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, tb_callback);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *,
                                                   insn_callback, int, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, mem_callback,
                                             int, int, void *);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, end_callback, void *);

#define PUBLIC __attribute__((visibility("default")))
PUBLIC int qemu_plugin_version = PLUGIN_VERSION;

enum { NO_REGISTERS = 0, READ_AND_WRITE = 3 };

static FILE *out;
static int counting;
static uint64_t counts[3]; /* instructions, accesses, taken branches */
static uint64_t expected;

static void on_access(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address,
                      void *data)
{
  (void)cpu, (void)info, (void)address, (void)data;
  counts[1] += (uint64_t)counting;
}

/* data: the address, and the size in the bits from 56 on. */
static void on_instruction(unsigned cpu, void *data)
{
  const uint64_t packed = (uint64_t)(uintptr_t)data;
  const uint64_t address = packed & (((uint64_t)1 << 56) - 1);
  (void)cpu;
  if (counting) {
    ++counts[0];
    counts[2] += address != expected;
  }
  expected = address + (packed >> 56);
}

static void on_start(unsigned cpu, void *data)
{
  (void)cpu, (void)data;
  counting = 1;
}

static void on_stop(unsigned cpu, void *data)
{
  (void)cpu, (void)data;
  counting = 0;
}

static void on_image(unsigned cpu, void *data)
{
  (void)cpu, (void)data;
  fwrite(counts, sizeof counts, 1, out);
  memset(counts, 0, sizeof counts);
}

static void on_block(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
  const size_t count = qemu_plugin_tb_n_insns(block);
  (void)id;
  for (size_t i = 0; i < count; ++i) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
    const char *symbol = qemu_plugin_insn_symbol(insn);
    const uint64_t packed = qemu_plugin_insn_vaddr(insn)
                            | (uint64_t)qemu_plugin_insn_size(insn) << 56;
    qemu_plugin_register_vcpu_insn_exec_cb(insn, on_instruction, NO_REGISTERS,
                                           (void *)(uintptr_t)packed);
    qemu_plugin_register_vcpu_mem_cb(insn, on_access, NO_REGISTERS, READ_AND_WRITE, 0);
    if (!symbol) {
      continue;
    }
    if (!strcmp(symbol, "harness_count_on")) {
      qemu_plugin_register_vcpu_insn_exec_cb(insn, on_start, NO_REGISTERS, 0);
    } else if (!strcmp(symbol, "harness_count_off")) {
      qemu_plugin_register_vcpu_insn_exec_cb(insn, on_stop, NO_REGISTERS, 0);
    } else if (!strcmp(symbol, "harness_count_image")) {
      qemu_plugin_register_vcpu_insn_exec_cb(insn, on_image, NO_REGISTERS, 0);
    }
  }
}

static void on_end(qemu_plugin_id_t id, void *data)
{
  (void)id, (void)data;
  fclose(out);
}

PUBLIC int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
                               char **argv)
{
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (!strncmp(argv[i], "out=", 4)) {
      out = fopen(argv[i] + 4, "wb");
    }
  }
  if (!out) {
    return -1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
  qemu_plugin_register_atexit_cb(id, on_end, 0);
  return 0;
}
"""
