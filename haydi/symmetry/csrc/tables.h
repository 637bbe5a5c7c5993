/* What the Test knows of a layout; see tables.c, and cells.c for Cells. */
#ifndef HAYDI_TABLES_H
#define HAYDI_TABLES_H

#include "kernel.h"

#define RANK_MAX 8
#define TEST_POSITIONS_MAX 4096
#define TEST_VALUES_MAX 65536

/* A position or a value, and the slots that it depends on. */
typedef struct {
    const uint32_t *table; /* by the images of the slots, as digits to the base of the number of slots */
    uint8_t rank, slots[RANK_MAX];
} Spot;

typedef struct {
    Position p, q;
} Pair;

struct Tables {
    const Plan *plan;
    Spot *places; /* of positions */
    Spot *values; /* of the values of moving alphabets, one after another */
    Value *alphabet_start; /* of each of these values: where those of its alphabet begin */
    size_t *pairs_at;      /* for slots a < b at a * slots + b: where their pairs begin; the next one's say where they end */
    Pair *pairs;
    uint32_t **blocks;
    size_t n_blocks;
};

/* Where a renaming takes a spot, `images` are those of all slots. */
static inline uint32_t image_of(const Spot *spot, const uint8_t *images, uint32_t slots) {
    switch (spot->rank) {
        case 0: return spot->table[0];
        case 1: return spot->table[images[spot->slots[0]]];
        case 2: return spot->table[images[spot->slots[0]] * slots + images[spot->slots[1]]];
        default: {
            uint32_t index = images[spot->slots[0]];
            for (uint8_t k = 1; k < spot->rank; k++) index = index * slots + images[spot->slots[k]];
            return spot->table[index];
        }
    }
}

/* ---- what a partition of the slots leaves undecided ---- */

/* The orbit of a position. */
typedef struct {
    const Position *orbit;
    uint16_t size; /* 1: it is alone, and there is no list */
    int8_t row;    /* the first slot of the cell whose slots the orbit stands for, one by one; or -1 */
    int8_t cell;   /* the first slot of a cell that moves the position */
} Place;

/* The orbit of a value. */
typedef struct {
    Value least;
    int8_t slot; /* the slot that the value stands for, when the orbit stands for the slots of a cell; or -1 */
    int8_t cell; /* the first slot of a cell that moves the orbit; -1: the value is alone */
} Reach;

typedef struct {
    uint64_t begins; /* for each slot a bit, set where a cell begins */
    uint8_t sizes[SLOTS_MAX]; /* of the cells, by their first slots */
    Place *places;
    Reach *reaches;
    Position *orbits;
} Cells;

typedef struct {
    const Tables *tables;
    Cells **known; /* a hash table */
    size_t room, used, bytes;
    uint32_t *joined; /* scratch, as are the next two */
    uint32_t *next, *members;
} CellCache;

Trouble cells_init(CellCache *cache, const Tables *tables);
void cells_clear(CellCache *cache);
/* NULL: no memory. What was given before may be gone. */
const Cells *cells_make(CellCache *cache, uint64_t begins);

static inline size_t cells_hash(uint64_t begins, size_t room) {
    return (size_t)((begins * 0x9E3779B97F4A7C15u) >> 32) & (room - 1);
}

static inline const Cells *cells_of(CellCache *cache, uint64_t begins) {
    size_t at = cells_hash(begins, cache->room);
    for (; cache->known[at]; at = (at + 1) & (cache->room - 1))
        if (cache->known[at]->begins == begins) return cache->known[at];
    return cells_make(cache, begins);
}

#endif
