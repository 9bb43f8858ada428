/* A small library about places on Earth. The same lines are the ffi.cdef of lua/geo.lua. */
#ifndef GEO_H
#define GEO_H

#include <stddef.h>

struct geo_point {
    double lat, lon; /* degrees */
};

/* An angle in degrees, in radians. */
double geo_radians(double degrees);

/* Kilometres between two places. */
double geo_distance(const struct geo_point *a, const struct geo_point *b);

/* Kilometres along a way of so many places. */
double geo_length(const struct geo_point *way, size_t count);

/* A text such as "6.2 S, 106.8 E". It is the caller's: geo_free() it. */
char *geo_text(const struct geo_point *p);
void geo_free(void *memory);

/* Calls visit for each place until it returns 0; returns how many were visited. */
size_t geo_each(const struct geo_point *way, size_t count, int (*visit)(const struct geo_point *));

#endif
