/* The module haydi.symmetry._kernel: one type, Search, a walk through one layout.
 *
 * All long work is done without the interpreter's lock, so a Search that is in use refuses to be used a second time.
 * After a failure in the middle of a walk its place is lost, and it says so until seek() gives it a new one.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kernel.h"
#include "parse.h"

#define BATCH_BYTES_MAX ((int64_t)1 << 26)
#define WORK_MAX ((uint64_t)1 << 22)

typedef struct {
    PyObject_HEAD
    Plan plan;
    Rows rows;
    Tables *tables;
    Walk walk, scout; /* the scout looks at nodes elsewhere; made when it is needed */
    bool scouting, busy, lost;
    PyThreadState *thread;
} Search;

/* ---- working without the lock ---- */

static bool interrupted(void *with) {
    Search *self = with;
    PyEval_RestoreThread(self->thread);
    bool raised = PyErr_CheckSignals() != 0;
    self->thread = PyEval_SaveThread();
    return raised;
}

static bool start_work(Search *self) {
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this search is in use by another thread; give each thread its own");
        return false;
    }
    self->busy = true;
    self->thread = PyEval_SaveThread();
    return true;
}

static void stop_work(Search *self) {
    PyEval_RestoreThread(self->thread);
    self->busy = false;
}

static bool is_idle(Search *self) {
    if (!self->busy) return true;
    PyErr_SetString(PyExc_RuntimeError, "this search is in use by another thread; give each thread its own");
    return false;
}

static bool has_place(Search *self) {
    if (!is_idle(self)) return false;
    if (!self->lost) return true;
    PyErr_SetString(PyExc_RuntimeError, "the walk lost its place when it failed; give it one with seek()");
    return false;
}

static PyObject *fail(Trouble trouble) {
    if (trouble == NO_MEMORY) return PyErr_NoMemory();
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "the search was interrupted");
    return NULL;
}

/* What was found is lost, and with it the place. */
static PyObject *lose_place(Search *self) {
    Trouble trouble = self->walk.engine.trouble;
    walk_seek(&self->walk, NULL, 0);
    self->lost = true;
    return trouble == FINE ? NULL : fail(trouble);
}

/* ---- beginning and end ---- */

static void search_clear(Search *self) {
    walk_clear(&self->walk);
    walk_clear(&self->scout);
    tables_free(self->tables);
    rows_clear(&self->rows);
    plan_clear(&self->plan);
}

static void search_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    search_clear((Search *)object);
    type->tp_free(object);
    Py_DECREF(type);
}

static Trouble prepare(Search *self, bool rows, bool *unfit) {
    Trouble trouble = plan_finish(&self->plan);
    *unfit = false;
    if (trouble != FINE) return trouble;
    if (rows) {
        *unfit = rows_bytes(&self->plan) == COUNT_MAX;
        if (!*unfit) trouble = rows_make(&self->rows, &self->plan);
    } else {
        self->tables = tables_new(&self->plan, &trouble, unfit);
    }
    if (trouble != FINE || *unfit) return trouble;
    return walk_init(&self->walk, &self->plan, rows ? &self->rows : NULL, self->tables);
}

static PyObject *search_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"m", "kind", "alphabets", "sets", "orders", "sizes", "swaps", "empty", "engine", NULL};
    Description description;
    const char *engine;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iOOOOOOps:Search", names, &description.m, &description.kind,
                                     &description.alphabets, &description.sets, &description.orders,
                                     &description.sizes, &description.swaps, &description.empty, &engine))
        return NULL;
    bool rows = strcmp(engine, "rows") == 0, unfit;
    if (!rows && strcmp(engine, "slots") != 0)
        return PyErr_Format(PyExc_ValueError, "engine must be 'rows' or 'slots', not '%s'", engine);
    Search *self = (Search *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    if (!parse_plan(&self->plan, &description)) {
        Py_DECREF(self);
        return NULL;
    }
    Trouble trouble;
    Py_BEGIN_ALLOW_THREADS
    trouble = prepare(self, rows, &unfit);
    Py_END_ALLOW_THREADS
    if (trouble != FINE || unfit) {
        if (trouble == FINE)
            PyErr_Format(PyExc_OverflowError, "the layout is too large for engine '%s'", engine);
        else
            fail(trouble);
        Py_DECREF(self);
        return NULL;
    }
    self->walk.engine.poll = interrupted;
    self->walk.engine.poll_with = self;
    return (PyObject *)self;
}

/* ---- looking ---- */

static bool make_scout(Search *self) {
    if (self->scouting) return true;
    Trouble trouble = walk_init(&self->scout, &self->plan, self->tables ? NULL : &self->rows, self->tables);
    if (trouble != FINE) {
        walk_clear(&self->scout);
        fail(trouble);
        return false;
    }
    self->scout.engine.poll = interrupted;
    self->scout.engine.poll_with = self;
    return self->scouting = true;
}

static PyObject *make_path(const int32_t *choices, int32_t length) {
    PyObject *path = PyTuple_New(length);
    for (int32_t k = 0; path && k < length; k++) {
        PyObject *choice = PyLong_FromLong(choices[k]);
        if (!choice) {
            Py_CLEAR(path);
            break;
        }
        PyTuple_SET_ITEM(path, k, choice);
    }
    return path;
}

static PyObject *search_look(Search *self, PyObject *argument) {
    Path path;
    if (!is_idle(self) || !parse_path(argument, false, "path", &path)) return NULL;
    Look look = {0};
    Looked looked = LOOK_TROUBLE;
    PyObject *result = NULL;
    if (make_scout(self)) {
        if (start_work(self)) {
            looked = walk_look(&self->scout, path.choices, path.length, &look);
            stop_work(self);
            if (looked == LOOKED) {
                PyObject *choices = make_path(look.choices, look.count);
                if (choices) result = Py_BuildValue("iNN", look.i, PyBool_FromLong(look.free), choices);
            } else if (looked == NO_SUCH_NODE) {
                PyErr_Format(PyExc_ValueError, "no canonical vector begins with the choices %R", argument);
            } else {
                fail(self->scout.engine.trouble);
                self->scout.engine.trouble = FINE;
            }
        }
    }
    release(look.choices);
    release(path.choices);
    return result;
}

/* ---- walking ---- */

static PyObject *search_seek(Search *self, PyObject *argument) {
    Path path;
    if (!parse_path(argument, false, "path", &path)) return NULL;
    /* Not before: an int may be an object of the user's, with any code in it. */
    if (!is_idle(self)) {
        release(path.choices);
        return NULL;
    }
    walk_seek(&self->walk, path.choices, path.length);
    self->lost = false;
    Py_RETURN_NONE;
}

static PyObject *make_event(const Walk *walk) {
    return Py_BuildValue("iN", walk->i, PyBool_FromLong(walk->own));
}

static PyObject *search_next(Search *self, PyObject *argument) {
    Path stop;
    if (!has_place(self) || !parse_path(argument, true, "stop", &stop)) return NULL;
    Step step = TIRED;
    while (step == TIRED && start_work(self)) {
        step = walk_next(&self->walk, &stop, self->walk.engine.work + WORK_MAX);
        stop_work(self);
        if (step == TIRED && PyErr_CheckSignals() != 0) {
            /* The walk is where it was; only this call is given up. */
            release(stop.choices);
            return NULL;
        }
    }
    release(stop.choices);
    if (step == TIRED) return NULL;
    if (step == TROUBLE) return lose_place(self);
    if (step != EVENT) Py_RETURN_NONE;
    PyObject *event = make_event(&self->walk);
    return event ? event : lose_place(self);
}

static PyObject *cast(PyObject *bytes, const char *format) {
    if (!bytes) return NULL;
    PyObject *view = PyMemoryView_FromObject(bytes);
    Py_DECREF(bytes);
    if (!view) return NULL;
    PyObject *result = PyObject_CallMethod(view, "cast", "s", format);
    Py_DECREF(view);
    return result;
}

static PyObject *search_run(Search *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"stop", "limit", NULL};
    PyObject *argument = Py_None, *vectors = NULL, *automorphisms = NULL;
    long long limit = 4096;
    Path stop;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OL:run", names, &argument, &limit)) return NULL;
    if (limit < 1) return PyErr_Format(PyExc_ValueError, "limit must be at least 1, not %lld", limit);
    if (!has_place(self) || !parse_path(argument, true, "stop", &stop)) return NULL;
    Batch batch = {.entry_bytes = 1};
    for (int32_t a = 0; a < self->plan.n_alphabets; a++)
        if (self->plan.alphabet_size[a] > 256) batch.entry_bytes = sizeof(Value);
    int64_t width = (int64_t)self->plan.m * batch.entry_bytes;
    batch.limit = limit < BATCH_BYTES_MAX / (width + 8) ? limit : BATCH_BYTES_MAX / (width + 8);
    if (batch.limit < 1) batch.limit = 1;
    vectors = PyBytes_FromStringAndSize(NULL, batch.limit * width);
    automorphisms = PyBytes_FromStringAndSize(NULL, batch.limit * 8);
    if (!vectors || !automorphisms || !start_work(self)) goto failed;
    batch.vectors = (uint8_t *)PyBytes_AS_STRING(vectors);
    batch.automorphisms = (uint64_t *)(void *)PyBytes_AS_STRING(automorphisms);
    Step step = bulk_run(&self->walk, &stop, WORK_MAX, &batch);
    stop_work(self);
    release(stop.choices);
    stop.choices = NULL;
    if (step == TROUBLE) goto lost;
    if (_PyBytes_Resize(&vectors, batch.count * width) < 0 || _PyBytes_Resize(&automorphisms, batch.count * 8) < 0) goto lost;
    if (batch.entry_bytes > 1) vectors = cast(vectors, "I");
    automorphisms = cast(automorphisms, "Q");
    PyObject *lump = batch.lump ? make_event(&self->walk) : Py_NewRef(Py_None);
    if (!vectors || !automorphisms || !lump) {
        Py_XDECREF(lump);
        goto lost;
    }
    PyObject *result = Py_BuildValue("NNNN", vectors, automorphisms, lump, PyBool_FromLong(step == OVER || step == AT_STOP));
    return result ? result : lose_place(self);
lost:
    lose_place(self);
failed:
    release(stop.choices);
    Py_XDECREF(vectors);
    Py_XDECREF(automorphisms);
    return NULL;
}

static PyObject *make_histogram(const Histogram *histogram) {
    PyObject *result = PyDict_New();
    for (size_t at = 0; result && at < histogram->room; at++) {
        if (!histogram->keys[at]) continue;
        PyObject *key = PyLong_FromUnsignedLongLong(histogram->keys[at]);
        PyObject *count = PyLong_FromUnsignedLongLong(histogram->counts[at]);
        if (!key || !count || PyDict_SetItem(result, key, count) < 0) Py_CLEAR(result);
        Py_XDECREF(key);
        Py_XDECREF(count);
    }
    return result;
}

static PyObject *search_count(Search *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"stop", "budget", NULL};
    PyObject *argument = Py_None;
    long long budget = (long long)WORK_MAX;
    Path stop;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OL:count", names, &argument, &budget)) return NULL;
    if (budget < 1) return PyErr_Format(PyExc_ValueError, "budget must be at least 1, not %lld", budget);
    if (!has_place(self) || !parse_path(argument, true, "stop", &stop)) return NULL;
    Histogram histogram = {0};
    uint64_t number = 0;
    bool lump = false;
    if (!start_work(self)) {
        release(stop.choices);
        return NULL;
    }
    Step step = bulk_count(&self->walk, &stop, (uint64_t)budget, &number, &histogram, &lump);
    stop_work(self);
    release(stop.choices);
    PyObject *table = step == TROUBLE ? lose_place(self) : make_histogram(&histogram);
    histogram_clear(&histogram);
    PyObject *event = lump ? make_event(&self->walk) : Py_NewRef(Py_None);
    if (!table || !event) {
        Py_XDECREF(table);
        Py_XDECREF(event);
        return step == TROUBLE ? NULL : lose_place(self);
    }
    PyObject *result = Py_BuildValue("KNNN", (unsigned long long)number, table, event,
                                     PyBool_FromLong(step == OVER || step == AT_STOP));
    return result ? result : lose_place(self);
}

static PyObject *search_automorphisms(Search *self, PyObject *args) {
    int i, own;
    if (!PyArg_ParseTuple(args, "ip:automorphisms", &i, &own) || !is_idle(self)) return NULL;
    const Engine *engine = &self->walk.engine;
    return PyLong_FromUnsignedLongLong(own && i == self->plan.m ? engine->automorphisms : engine->kernel);
}

/* ---- what the last event was ---- */

static PyObject *search_path(Search *self, void *closure) {
    (void)closure;
    if (!is_idle(self)) return NULL;
    int32_t length = self->walk.length < self->walk.depth ? self->walk.length : self->walk.depth;
    PyObject *path = PyTuple_New(length);
    for (int32_t k = 0; path && k < length; k++) {
        PyObject *choice = PyLong_FromLong(walk_path(&self->walk, k));
        if (!choice) {
            Py_CLEAR(path);
            break;
        }
        PyTuple_SET_ITEM(path, k, choice);
    }
    return path;
}

static PyObject *search_f(Search *self, void *closure) {
    (void)closure;
    if (!is_idle(self)) return NULL;
    PyObject *f = PyList_New(self->plan.m);
    for (int32_t p = 0; f && p < self->plan.m; p++) {
        PyObject *entry = PyLong_FromUnsignedLong(self->walk.engine.f[p]);
        if (!entry) {
            Py_CLEAR(f);
            break;
        }
        PyList_SET_ITEM(f, p, entry);
    }
    return f;
}

static PyObject *search_engine(Search *self, void *closure) {
    (void)closure;
    return PyUnicode_FromString(self->tables ? "slots" : "rows");
}

#define WITH_KEYWORDS (METH_VARARGS | METH_KEYWORDS)

static PyMethodDef methods[] = {
    {"look", (PyCFunction)search_look, METH_O, "look(path): (i, free, choices) of a node."},
    {"seek", (PyCFunction)search_seek, METH_O, "seek(path): the next event is that of the first node not before path."},
    {"next", (PyCFunction)search_next, METH_O, "next(stop): the next event before stop, (i, own), or None."},
    {"run", (PyCFunction)(void (*)(void))search_run, WITH_KEYWORDS,
     "run(stop=None, limit=4096): (vectors, automorphisms, lump, finished)."},
    {"count", (PyCFunction)(void (*)(void))search_count, WITH_KEYWORDS,
     "count(stop=None, budget=...): (number, {automorphisms: number}, lump, finished)."},
    {"automorphisms", (PyCFunction)search_automorphisms, METH_VARARGS,
     "automorphisms(i, own): number of renamings that leave the vectors of the last event as they are."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef attributes[] = {{"path", (getter)search_path, NULL, "The path of the last event.", NULL},
                                   {"f", (getter)search_f, NULL, "The vector of the last event.", NULL},
                                   {"engine", (getter)search_engine, NULL, "'rows' or 'slots'.", NULL},
                                   {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, search_new},
                              {Py_tp_dealloc, search_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, attributes},
                              {Py_tp_doc, "A walk over the canonical prefixes of a layout; see haydi.symmetry.kernel."},
                              {0, NULL}};

static PyType_Spec spec = {"haydi.symmetry._kernel.Search", sizeof(Search), 0, Py_TPFLAGS_DEFAULT, slots};

static int add_types(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!type) return -1;
    int added = PyModule_AddObjectRef(module, "Search", type);
    Py_DECREF(type);
    return added;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, add_types}, {0, NULL}};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_kernel", "Orderly generation in C.", 0, NULL, module_slots,
                                 NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernel(void);

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
