"""Sound as it comes: a microphone, standard input, or a file played in real time.

All of them are a :class:`LiveSource`: blocks of samples, each with the time it was captured.
"""

from semisonic.audio.live.block import BLOCK_TIME, Block, Gap, LiveSource, SourceLost
from semisonic.audio.live.microphone import InputDevice, Microphone, list_devices
from semisonic.audio.live.pipe import PIPE_FORMATS, Pipe
from semisonic.audio.live.playback import Playback
from semisonic.audio.live.reconnecting import Reconnecting
from semisonic.audio.live.resampler import LiveResampler

__all__ = [
    "BLOCK_TIME",
    "PIPE_FORMATS",
    "Block",
    "Gap",
    "InputDevice",
    "LiveResampler",
    "LiveSource",
    "Microphone",
    "Pipe",
    "Playback",
    "Reconnecting",
    "SourceLost",
    "list_devices",
]
