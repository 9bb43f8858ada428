#include "geo.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double EARTH = 6371.0; /* radius, km */

double geo_radians(double degrees)
{
    return degrees * 3.14159265358979323846 / 180;
}

double geo_distance(const struct geo_point *a, const struct geo_point *b)
{
    double lat = sin(geo_radians(b->lat - a->lat) / 2);
    double lon = sin(geo_radians(b->lon - a->lon) / 2);
    double h = lat * lat + cos(geo_radians(a->lat)) * cos(geo_radians(b->lat)) * lon * lon;

    return 2 * EARTH * asin(sqrt(h));
}

double geo_length(const struct geo_point *way, size_t count)
{
    double sum = 0;

    for (size_t i = 1; i < count; i++)
        sum += geo_distance(&way[i - 1], &way[i]);
    return sum;
}

char *geo_text(const struct geo_point *p)
{
    char *text = malloc(64);

    if (text)
        snprintf(text, 64, "%.1f %c, %.1f %c", fabs(p->lat), p->lat < 0 ? 'S' : 'N', fabs(p->lon),
                 p->lon < 0 ? 'W' : 'E');
    return text;
}

void geo_free(void *memory)
{
    free(memory);
}

size_t geo_each(const struct geo_point *way, size_t count, int (*visit)(const struct geo_point *))
{
    for (size_t i = 0; i < count; i++)
        if (!visit(&way[i]))
            return i + 1;
    return count;
}
