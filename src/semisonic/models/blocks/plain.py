"""Convolutions one after the other, without a shortcut: the control for shortcuts.

Simonyan and Zisserman (2015), "Very deep convolutional networks for large-scale image
recognition", with the batch normalisation of its later users.
"""

from __future__ import annotations

from semisonic.models.blocks.residual import ResidualBlock


class PlainBlock(ResidualBlock):
    """Convolution, norm, ReLU, convolution, norm, ReLU."""

    has_shortcut = False
