"""Published general audio networks, in plain torch, and converters of their weight files.

No weights are shipped or fetched: the user gives the path of a file. A model that starts from
such weights has learned from other people's labels, so its file always says so.
"""
