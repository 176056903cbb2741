"""Distances on earth."""

from math import asin, cos, radians, sin, sqrt


def kilometres(here, there):
    """Along the great circle, by the haversine formula."""
    (latitude, longitude), (to_latitude, to_longitude) = here, there
    north, east = radians(to_latitude - latitude), radians(to_longitude - longitude)
    across = sin(north / 2) ** 2 + cos(radians(latitude)) * cos(radians(to_latitude)) * sin(east / 2) ** 2
    return 2 * 6371.0088 * asin(min(1, sqrt(across)))
