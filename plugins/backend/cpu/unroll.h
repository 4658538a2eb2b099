/* plugins/backend/cpu/unroll.h - the cpu backend's unroll; see unroll.c for how, pudle/unroll.h for what. */
#ifndef BACKEND_CPU_UNROLL_H
#define BACKEND_CPU_UNROLL_H

#include <pudle/unroll.h>

extern const pudle_unroll_ops cpu_unroll_ops;       /* whatever the dictionary is: unroll_select.c */
extern const pudle_unroll_ops cpu_unroll_dense_ops;

#endif
