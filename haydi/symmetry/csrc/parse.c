/* From Python objects to plain numbers; see parse.h. */
#define PY_SSIZE_T_CLEAN
#include "parse.h"

#define ALPHABETS_MAX 65535
#define ALPHABET_SIZE_MAX (1 << 24)
#define VALUES_MAX (1 << 24)
#define GROUP_ORDER_MAX ((uint64_t)1 << 63)

static bool wrong(const char *what) {
    PyErr_Format(PyExc_ValueError, "%s", what);
    return false;
}

static bool too_large(const char *what) {
    PyErr_Format(PyExc_OverflowError, "%s", what);
    return false;
}

static bool no_memory(void) {
    PyErr_NoMemory();
    return false;
}

static bool parse_int(PyObject *object, int64_t least, int64_t most, const char *what, int64_t *value) {
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (number == -1 && !overflow && PyErr_Occurred()) return false;
    if (overflow || number < least || number > most) {
        PyErr_Format(PyExc_ValueError, "%s must be from %lld to %lld", what, (long long)least, (long long)most);
        return false;
    }
    *value = number;
    return true;
}

/* The items of a sequence of a known length (-1: any), each an int in range. Gives how many there are, or -1. */
static Py_ssize_t parse_ints(PyObject *object, Py_ssize_t length, int64_t least, int64_t most, const char *what,
                             int64_t *values) {
    PyObject *items = PySequence_Tuple(object);
    if (!items) return -1;
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    if (count > length) {
        PyErr_Format(PyExc_ValueError, "%s: at most %zd expected, got %zd", what, length, count);
        count = -1;
    }
    for (Py_ssize_t k = 0; k < count; k++)
        if (!parse_int(PyTuple_GET_ITEM(items, k), least, most, what, &values[k])) count = -1;
    Py_DECREF(items);
    return count;
}

static bool parse_exactly(PyObject *object, Py_ssize_t length, int64_t least, int64_t most, const char *what,
                          int64_t *values) {
    Py_ssize_t count = parse_ints(object, length, least, most, what, values);
    if (count >= 0 && count < length) {
        PyErr_Format(PyExc_ValueError, "%s: %zd expected, got %zd", what, length, count);
        return false;
    }
    return count >= 0;
}

static bool parse_alphabets(Plan *plan, PyObject *alphabets, PyObject *kind) {
    Py_ssize_t count = PyTuple_GET_SIZE(alphabets);
    if (count > ALPHABETS_MAX) return too_large("there are too many alphabets");
    plan->n_alphabets = (int32_t)count;
    plan->alphabet_size = fetch((size_t)count, sizeof *plan->alphabet_size);
    plan->moving = fetch((size_t)count, 1);
    plan->kind = fetch((size_t)plan->m, sizeof *plan->kind);
    int64_t *kinds = fetch((size_t)plan->m, sizeof *kinds), pair[2], values = 0;
    bool fine = plan->alphabet_size && plan->moving && plan->kind && kinds;
    if (!fine) no_memory();
    plan->fixed = true;
    for (Py_ssize_t a = 0; fine && a < count; a++) {
        fine = parse_exactly(PyTuple_GET_ITEM(alphabets, a), 2, 0, ALPHABET_SIZE_MAX, "alphabets", pair);
        if (!fine) break;
        plan->alphabet_size[a] = (Value)pair[0];
        plan->moving[a] = pair[1] != 0;
        if (plan->moving[a]) values += pair[0];
        plan->fixed &= !plan->moving[a];
        if (values > VALUES_MAX) fine = too_large("there are too many values");
    }
    plan->values = (Value)values;
    fine = fine && parse_exactly(kind, plan->m, 0, (int64_t)count - 1, "kind", kinds);
    for (int32_t p = 0; fine && p < plan->m; p++) plan->kind[p] = (uint16_t)kinds[p];
    release(kinds);
    return fine;
}

static bool check_set(const Plan *plan, const int64_t *n) {
    int64_t start = n[0], first = n[1], stop = n[2];
    bool free = n[3] != 0, sized = n[4] != 0;
    if (first != start + sized || first > stop || stop > plan->m || (free && sized)) return wrong("sets: positions");
    if (n[6] > stop - first) return wrong("sets: size_max is more than there are items");
    for (int64_t p = first; p < stop; p++)
        if (alphabet_at(plan, (int32_t)p) != 2 || plan->moving[plan->kind[p]]) return wrong("sets: a bit has two values");
    if (sized && (plan->moving[plan->kind[start]] || alphabet_at(plan, (int32_t)start) <= n[6] - n[5]))
        return wrong("sets: sizes");
    return true;
}

static bool parse_nodes(Plan *plan, PyObject *sets, PyObject *orders) {
    Py_ssize_t n_sets = PyTuple_GET_SIZE(sets), n_orders = PyTuple_GET_SIZE(orders);
    if (n_sets + n_orders > 2 * (Py_ssize_t)POSITIONS_MAX) return too_large("there are too many sets and orders");
    plan->sets = fetch((size_t)n_sets, sizeof *plan->sets);
    plan->orders = fetch((size_t)n_orders, sizeof *plan->orders);
    uint8_t *taken = fetch((size_t)plan->m, 1);
    bool fine = plan->sets && plan->orders && taken;
    if (!fine) no_memory();
    int64_t n[7];
    for (Py_ssize_t k = 0; fine && k < n_sets; k++) {
        fine = parse_exactly(PyTuple_GET_ITEM(sets, k), 7, -1, POSITIONS_MAX, "sets", n);
        for (int i = 0; fine && i < 6; i++)
            if (n[i] < 0) fine = wrong("sets: only size_max may be negative");
        fine = fine && check_set(plan, n);
        if (!fine) break;
        plan->sets[k] = (SetNode){.start = (int32_t)n[0], .first = (int32_t)n[1], .stop = (int32_t)n[2],
                                  .free = n[3] != 0, .sized = n[4] != 0, .size_min = (int32_t)n[5],
                                  .size_max = (int32_t)n[6]};
        for (int64_t p = n[0]; p < n[2]; p++) fine &= !taken[p]++;
        if (!fine) wrong("sets: positions of two overlap");
        plan->n_sets++;
    }
    for (Py_ssize_t k = 0; fine && k < n_orders; k++) {
        fine = parse_exactly(PyTuple_GET_ITEM(orders, k), 2, 0, plan->m, "orders", n);
        if (!fine) break;
        plan->orders[k] = (OrderNode){(int32_t)n[0], (int32_t)n[1]};
        for (int64_t p = n[0]; p < n[1]; p++) fine &= !taken[p]++ && alphabet_at(plan, (int32_t)p) == n[1] - n[0];
        if (!fine || n[0] > n[1]) fine = wrong("orders: positions overlap, or alphabets are not as large as they");
        plan->n_orders++;
    }
    release(taken);
    return fine;
}

static bool parse_slots(Plan *plan, PyObject *object) {
    int64_t sizes[SLOTS_MAX + 1];
    Py_ssize_t count = parse_ints(object, SLOTS_MAX, 0, 1 << 30, "sizes", sizes);
    if (count < 0) return false;
    plan->group_order = 1;
    for (Py_ssize_t u = 0; u < count; u++) {
        int32_t start = plan->slots;
        if (sizes[u] > SLOTS_MAX - start) return too_large("there are too many atoms");
        plan->slots += (int32_t)sizes[u];
        for (int32_t i = start; i < plan->slots; i++) {
            plan->uset_of[i] = (uint8_t)u;
            plan->slot_start[i] = (uint8_t)start;
            plan->slot_stop[i] = (uint8_t)plan->slots;
            uint64_t order;
            bool over = __builtin_mul_overflow(plan->group_order, (uint64_t)(i - start + 1), &order);
            if (over || order >= GROUP_ORDER_MAX) return too_large("there are too many renamings");
            plan->group_order = order;
        }
    }
    return true;
}

/* One swap of neighbouring slots: what it does done twice is nothing, and free Sets and alphabets stay in place. */
static bool check_swap(const Plan *plan, int32_t i) {
    const Position *src = plan->swap_src + (size_t)i * (size_t)plan->m;
    for (int32_t p = 0; p < plan->m; p++)
        if (src[src[p]] != p || plan->kind[src[p]] != plan->kind[p]) return wrong("swaps: src");
    for (int32_t k = 0; k < plan->n_sets; k++) {
        const SetNode *node = &plan->sets[k];
        for (int32_t p = node->start; p < node->stop && node->free; p++)
            if (src[p] < node->start || src[p] >= node->stop) return wrong("swaps: a free Set must stay in its place");
    }
    const Value *values = plan->swap_values + (size_t)i * plan->values;
    for (int32_t a = 0; a < plan->n_alphabets; a++) {
        for (Value v = 0; plan->moving[a] && v < plan->alphabet_size[a]; v++)
            if (values[values[v]] != v) return wrong("swaps: vals");
        if (plan->moving[a]) values += plan->alphabet_size[a];
    }
    return true;
}

static bool parse_swap(Plan *plan, PyObject *swap, int32_t i, int64_t *scratch) {
    PyObject *pair = PySequence_Tuple(swap);
    PyObject *vals = pair && PyTuple_GET_SIZE(pair) == 2 ? PySequence_Tuple(PyTuple_GET_ITEM(pair, 1)) : NULL;
    bool fine = vals != NULL;
    if (!fine && !PyErr_Occurred()) wrong("swaps: pairs of src and vals expected");
    if (fine && PyTuple_GET_SIZE(vals) != plan->n_alphabets) fine = wrong("swaps: vals of all alphabets expected");
    fine = fine && parse_exactly(PyTuple_GET_ITEM(pair, 0), plan->m, 0, plan->m - 1, "swaps: src", scratch);
    for (int32_t p = 0; fine && p < plan->m; p++) plan->swap_src[(size_t)i * (size_t)plan->m + (size_t)p] = (Position)scratch[p];
    Value *to = plan->swap_values + (size_t)i * plan->values;
    for (int32_t a = 0; fine && a < plan->n_alphabets; a++) {
        int64_t size = plan->alphabet_size[a];
        if (!plan->moving[a]) continue;
        fine = parse_exactly(PyTuple_GET_ITEM(vals, a), size, 0, size - 1, "swaps: vals", scratch);
        for (int64_t v = 0; fine && v < size; v++) *to++ = (Value)scratch[v];
    }
    Py_XDECREF(vals);
    Py_XDECREF(pair);
    return fine && check_swap(plan, i);
}

static bool parse_swaps(Plan *plan, PyObject *swaps) {
    size_t slots = (size_t)plan->slots, longest = (size_t)plan->m > plan->values ? (size_t)plan->m : plan->values;
    plan->swap_src = fetch(slots * (size_t)plan->m, sizeof *plan->swap_src);
    plan->swap_values = fetch(slots * plan->values, sizeof *plan->swap_values);
    int64_t *scratch = fetch(longest, sizeof *scratch);
    bool fine = plan->swap_src && plan->swap_values && scratch;
    if (!fine) no_memory();
    Py_ssize_t given = 0;
    for (int32_t i = 0; fine && i + 1 < plan->slots; i++) {
        if (plan->slot_stop[i] == i + 1) continue;
        if (given >= PyTuple_GET_SIZE(swaps)) fine = wrong("swaps: there are too few");
        fine = fine && parse_swap(plan, PyTuple_GET_ITEM(swaps, given++), i, scratch);
    }
    if (fine && given < PyTuple_GET_SIZE(swaps)) fine = wrong("swaps: there are too many");
    release(scratch);
    return fine;
}

bool parse_plan(Plan *plan, const Description *description) {
    if (description->m < 0) return wrong("m must not be negative");
    if (description->m > POSITIONS_MAX) return too_large("there are too many positions");
    plan->m = description->m;
    plan->empty = description->empty != 0;
    PyObject *alphabets = PySequence_Tuple(description->alphabets);
    PyObject *sets = alphabets ? PySequence_Tuple(description->sets) : NULL;
    PyObject *orders = sets ? PySequence_Tuple(description->orders) : NULL;
    PyObject *swaps = orders ? PySequence_Tuple(description->swaps) : NULL;
    bool fine = swaps && parse_alphabets(plan, alphabets, description->kind) && parse_nodes(plan, sets, orders) &&
                parse_slots(plan, description->sizes) && parse_swaps(plan, swaps);
    Py_XDECREF(alphabets);
    Py_XDECREF(sets);
    Py_XDECREF(orders);
    Py_XDECREF(swaps);
    return fine;
}

bool parse_path(PyObject *object, bool none, const char *name, Path *path) {
    *path = (Path){NULL, -1};
    if (none && object == Py_None) return true;
    if (!PyTuple_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be a tuple of ints%s, not %R", name, none ? " or None" : "", object);
        return false;
    }
    Py_ssize_t length = PyTuple_GET_SIZE(object);
    if (length > INT32_MAX / 2) return too_large("the path is too long");
    int32_t *choices = fetch((size_t)length, sizeof *choices);
    if (!choices) return no_memory();
    for (Py_ssize_t k = 0; k < length; k++) {
        int overflow;
        long long choice = PyLong_AsLongLongAndOverflow(PyTuple_GET_ITEM(object, k), &overflow);
        if (choice == -1 && !overflow && PyErr_Occurred()) {
            release(choices);
            return false;
        }
        /* Beyond all choices is beyond all choices. */
        if (overflow > 0 || choice > INT32_MAX - 1) choice = INT32_MAX - 1;
        if (overflow < 0 || choice < INT32_MIN + 1) choice = INT32_MIN + 1;
        choices[k] = (int32_t)choice;
    }
    *path = (Path){choices, (int32_t)length};
    return true;
}
