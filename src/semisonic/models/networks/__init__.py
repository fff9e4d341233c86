"""Published networks, each under its registered name; importing this package registers them.

=========================  ==================================================================
``piczak-short`` ...       two convolutions over nearly all of mel and large dense layers
``cnn2``, ``cnn3``         plain convolutions on a picture of 64 x 128
``m5``, ``m11``, ``m18``   convolutions over time alone, from samples
``aclnet-sc``, ``-dwsc``   from samples, by a learned picture of 64 rows; of any width
``vgg``, ``resnet``        convolutions on log-mel of any length
``crnn-lstm``, ``-gru``    convolutions, then recurrent layers over frames
``transformer``            attention between patches of log-mel
=========================  ==================================================================
"""

from __future__ import annotations

from semisonic.models.networks import (
    aclnet,
    mel_cnn,
    piczak,
    recurrent,
    resnet,
    transformer,
    vgg,
    wave_cnn,
)

__all__ = ["aclnet", "mel_cnn", "piczak", "recurrent", "resnet", "transformer", "vgg", "wave_cnn"]
