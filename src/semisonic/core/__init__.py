"""Where calls are made, many at once: in this process and on this machine, or on a Ray cluster."""
