/* From Python objects to plain numbers. All that can be wrong about a description is found here. */
#ifndef HAYDI_PARSE_H
#define HAYDI_PARSE_H

#include "kernel.h"

#include <Python.h>

typedef struct {
    int m;
    PyObject *kind;      /* the alphabet of each position */
    PyObject *alphabets; /* (size, moving) */
    PyObject *sets;      /* (start, first, stop, free, sized, size_min, size_max) */
    PyObject *orders;    /* (start, stop) */
    PyObject *sizes;     /* numbers of slots, USet by USet */
    PyObject *swaps;     /* (src, vals) of the swaps of neighbouring slots, USet by USet */
    int empty;
} Description;

/* False, with an exception, when it is wrong. The plan is to be cleared in any case; plan_finish() comes next. */
bool parse_plan(Plan *plan, const Description *description);
/* A path, or None where that is allowed; the choices belong to the caller. Choices out of range stay so. */
bool parse_path(PyObject *object, bool none, const char *name, Path *path);

#endif
