/* Orderly generation in C: what haydi/symmetry/orderly.py, watch.py and tester.py do, with the same results.
 *
 * A Plan is a layout as plain numbers; it is shared and never changes. A Walk is a place in the tree of canonical
 * prefixes. It asks one of two engines whether a prefix is canonical: the Watch, which compares a vector with all
 * its renamings (rows of a table) while its entries become known, or the Test, which builds only those renamings
 * that matter. Nothing but module.c knows of Python objects, so all the rest runs without the interpreter's lock.
 *
 * Memory: every block comes from fetch() and its like, which refuse what would be unreasonable. A failure deep
 * in a search is remembered (Trouble), the search runs out quickly, and module.c raises.
 */
#ifndef HAYDI_KERNEL_H
#define HAYDI_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOTS_MAX 64
#define POSITIONS_MAX 65536
#define COUNT_MAX UINT64_MAX /* a number of vectors that is this large or larger */

typedef uint16_t Position;
typedef uint32_t Value;

/* What went wrong while nobody could be told. */
typedef enum { FINE = 0, NO_MEMORY, INTERRUPTED } Trouble;

/* ---- memory ---- */

/* Zeroed memory for count things, or NULL. */
void *fetch(size_t count, size_t size);
/* As realloc: room for count things, or NULL, and the old block is as it was. */
void *enlarge(void *block, size_t count, size_t size);
void release(void *block);

/* ---- the layout ---- */

typedef enum { ENTRY = 0, SIZE, BIT, ITEM, ORDER } Role; /* ITEM: a bit of a free Set */

typedef struct {
    int32_t start, first, stop, size_min, size_max;
    bool free, sized;
} SetNode;

typedef struct {
    int32_t start, stop;
} OrderNode;

typedef struct {
    int32_t m, slots, n_alphabets, n_sets, n_orders;
    bool empty; /* there are no vectors at all */
    bool fixed; /* renamings leave all values as they are */
    uint64_t group_order;
    uint16_t *kind;        /* the alphabet of each position */
    Value *alphabet_size;  /* of each alphabet */
    uint8_t *moving;       /* whether renamings move values of it */
    Value *values_at;      /* where the values of a moving alphabet begin in a table of all of these */
    Value values;          /* how many there are in that table */
    uint8_t *role;         /* of each position, and a last ENTRY behind them */
    int32_t *node_of;      /* the number of its SetNode or OrderNode */
    SetNode *sets;
    OrderNode *orders;
    uint8_t uset_of[SLOTS_MAX];    /* the USet of a slot */
    uint8_t slot_stop[SLOTS_MAX];  /* where the slots of its USet end */
    uint8_t slot_start[SLOTS_MAX]; /* where they begin */
    Position *swap_src; /* the renamings that swap slots i and i + 1 of one USet: m entries for each i */
    Value *swap_values; /* and plan->values values for each i */
    uint64_t *below;    /* number of completions from each beginning of a node on */
} Plan;

/* Derive what follows from the rest: roles, values_at, below. */
Trouble plan_finish(Plan *plan);
void plan_clear(Plan *plan);
/* Number of vectors that begin with f[:i]; without `own`, those with at least one more item of the free Set at i. */
uint64_t plan_count(const Plan *plan, const Value *f, int32_t i, bool own);
int32_t zeros(const Value *f, int32_t start, int32_t stop);

static inline Value alphabet_at(const Plan *plan, int32_t p) { return plan->alphabet_size[plan->kind[p]]; }

/* ---- all renamings ---- */

typedef struct {
    uint32_t count; /* without those that do nothing */
    uint64_t kernel; /* how many do nothing */
    Position *src;   /* count rows of m */
    Value *values;   /* count rows of plan->values */
} Rows;

/* How many bytes the rows take; COUNT_MAX when they would be too many. */
uint64_t rows_bytes(const Plan *plan);
Trouble rows_make(Rows *rows, const Plan *plan);
void rows_clear(Rows *rows);

/* ---- engines: both keep f[0..known) ---- */

typedef struct Watch Watch;
typedef struct Test Test;
typedef struct Tables Tables;

Watch *watch_new(const Plan *plan, const Rows *rows);
void watch_free(Watch *watch);

Tables *tables_new(const Plan *plan, Trouble *trouble, bool *unfit);
void tables_free(Tables *tables);
Test *test_new(const Plan *plan, const Tables *tables);
void test_free(Test *test);

/* Called now and then while the search is long; true: give up. */
typedef bool (*Poll)(void *with);

typedef struct {
    const Plan *plan;
    Watch *watch; /* one of these two */
    Test *test;
    Value *f;
    int32_t known;
    uint64_t automorphisms; /* of the whole vector, right after its last entry became known */
    uint64_t kernel;
    uint64_t work; /* grows with the time that was spent */
    Trouble trouble;
    Poll poll;
    void *poll_with;
} Engine;

/* f[known] = value; false, and nothing is changed, when no canonical vector begins so. */
bool watch_advance(Watch *watch, Engine *engine, Value value);
/* All entries up to `stop` are 1. */
bool watch_spine(Watch *watch, Engine *engine, int32_t stop);
void watch_rewind(Watch *watch, Engine *engine, int32_t to);
bool watch_waits(const Watch *watch, int32_t i);
/* Take back what spine() did from position i on, and keep it for replay(). Returns where it is kept, -1: no memory. */
int64_t watch_keep(Watch *watch, Engine *engine, int32_t i);
/* Leave out the item at `known` as spine() did. */
void watch_replay(Watch *watch, Engine *engine, int64_t kept, int32_t i);
void watch_forget(Watch *watch, int64_t kept);

/* Whether a canonical vector may begin with f[:known]. `before` are the proofs (test.c) of a vector that differs from
 * it in positions of `changed` alone, whose bit p & 63 stands for position p; NULL where there are none. */
bool test_known(Test *test, Engine *engine, const uint64_t *before, uint64_t changed);
/* How many proofs there are of one vector, and those of the last one that was tested. */
size_t test_proofs(const Test *test);
void test_keep_proofs(const Test *test, uint64_t *proofs);
void test_forget_proofs(Test *test);
/* Mark the items x of [start, stop) that an automorphism found by the last test takes to an earlier one. */
void test_mark_repeats(Test *test, int32_t start, int32_t stop, uint64_t *marks);

static inline bool engine_waits(const Engine *engine, int32_t i) {
    return engine->watch ? watch_waits(engine->watch, i) : i < engine->plan->m;
}

/* ---- the walk ---- */

#define FIRST INT32_MIN

typedef struct {
    int32_t *choices;
    int32_t length; /* -1: no bound */
} Path;

typedef struct {
    int32_t i;      /* the first position not known at the node */
    int32_t next;   /* the choice to try next */
    int32_t choice; /* the child that is visited */
    int32_t inside; /* ITEM and BIT: number of items of the Set before */
    int32_t last;   /* ITEM: the last position where an item may be */
    bool spined;    /* ITEM: all that follow are left out */
    bool bad;       /* ITEM: the Set cannot even end here */
    bool marked;    /* ITEM: marks say which items to leave out */
    int64_t kept;   /* ITEM: what watch_keep() gave, or -1 */
    uint64_t *marks;
    uint64_t *proofs; /* of the node's vector; in a free Set of that where all that follow are left out */
} Level;

typedef struct {
    const Plan *plan;
    Engine engine;
    Level *levels;
    int32_t depth, room;
    Path start;      /* where to begin */
    bool replaying;  /* the path is still that to the start */
    bool begun;      /* the root was visited */
    int32_t i;       /* the node that was visited last: first position not known */
    bool own;        /* see orderly.py */
    int32_t length;  /* the length of its path */
} Walk;

typedef enum { EVENT, OVER, AT_STOP, TIRED, TROUBLE } Step;

Trouble walk_init(Walk *walk, const Plan *plan, const Rows *rows, const Tables *tables);
void walk_clear(Walk *walk);
/* Takes the choices over. */
void walk_seek(Walk *walk, int32_t *choices, int32_t length);
/* The next event before the stop, or why there is none. Gives up (TIRED) when engine.work passes work_stop. Lumps
 * of up to lump_max vectors are gone through one by one. */
Step walk_next(Walk *walk, const Path *stop, uint64_t work_stop);
int32_t walk_path(const Walk *walk, int32_t at);

typedef enum { LOOKED, NO_SUCH_NODE, LOOK_TROUBLE } Looked;
typedef struct {
    int32_t i;
    bool free;
    int32_t *choices;
    int32_t count, room;
} Look;
/* look->choices belongs to the caller, whatever is returned. */
Looked walk_look(Walk *walk, const int32_t *path, int32_t length, Look *look);

/* ---- many events at once ---- */

typedef struct {
    uint64_t *keys, *counts;
    size_t used, room; /* room is a power of 2 */
} Histogram;

bool histogram_add(Histogram *histogram, uint64_t key, uint64_t count);
void histogram_clear(Histogram *histogram);

typedef struct {
    uint8_t *vectors;     /* room for limit vectors, of 1 or 4 bytes an entry */
    int32_t entry_bytes;
    uint64_t *automorphisms;
    int64_t limit, count;
    bool lump; /* ended by an event that stands for many vectors */
} Batch;

Step bulk_run(Walk *walk, const Path *stop, uint64_t work, Batch *batch);
/* As far as a lump whose size is not told by 64 bits. */
Step bulk_count(Walk *walk, const Path *stop, uint64_t work, uint64_t *number, Histogram *histogram, bool *lump);

#endif
