// SPDX-License-Identifier: MIT
#include "sun.h"

#include <math.h>

#define DAY_S 86400.0
#define ZENITH 90.833        /* half the sun's disc and the refraction below the horizon */
#define UNIX_EPOCH 2440587.5 /* as a Julian date */
#define J2000 2451545.0
#define DEGREE (3.14159265358979323846 / 180)

/* Declination in radians and the equation of time in minutes. */
static void place_sun(double time, double *declination, double *equation)
{
    const double t = (time / DAY_S + UNIX_EPOCH - J2000) / 36525;
    const double mean_longitude = fmod(280.46646 + t * (36000.76983 + t * 0.0003032), 360);
    const double anomaly = DEGREE * (357.52911 + t * (35999.05029 - 0.0001537 * t));
    const double eccentricity = 0.016708634 - t * (0.000042037 + 0.0000001267 * t);
    const double center = sin(anomaly) * (1.914602 - t * (0.004817 + 0.000014 * t)) +
                          sin(2 * anomaly) * (0.019993 - 0.000101 * t) +
                          sin(3 * anomaly) * 0.000289;
    const double node = DEGREE * (125.04 - 1934.136 * t);
    const double longitude = DEGREE * (mean_longitude + center - 0.00569 - 0.00478 * sin(node));
    const double mean_obliquity =
        23 + (26 + (21.448 - t * (46.815 + t * (0.00059 - t * 0.001813))) / 60) / 60;
    const double obliquity = DEGREE * (mean_obliquity + 0.00256 * cos(node));
    const double y = pow(tan(obliquity / 2), 2), twice = 2 * DEGREE * mean_longitude;
    *declination = asin(sin(obliquity) * sin(longitude));
    *equation = 4 / DEGREE *
                (y * sin(twice) - 2 * eccentricity * sin(anomaly) +
                 4 * eccentricity * y * sin(anomaly) * cos(twice) - 0.5 * y * y * sin(2 * twice) -
                 1.25 * eccentricity * eccentricity * sin(2 * anomaly));
}

/* It moves while it goes down: where it was then is found by trying again. */
double sun_crosses(enum sun_side side, double noon, double latitude, double longitude)
{
    const double midnight = floor((noon + longitude / 360 * DAY_S) / DAY_S) * DAY_S;
    double at = noon;
    for (int i = 0; i < 5; i++) {
        double declination, equation;
        place_sun(at, &declination, &equation);
        const double phi = DEGREE * latitude;
        const double cosine =
            cos(DEGREE * ZENITH) / (cos(phi) * cos(declination)) - tan(phi) * tan(declination);
        if (!(fabs(cosine) <= 1))
            return NAN;
        at = midnight + (720 - 4 * longitude - equation + side * 4 * acos(cosine) / DEGREE) * 60;
    }
    return at;
}
