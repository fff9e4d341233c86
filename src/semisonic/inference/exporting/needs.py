"""The libraries that ONNX files need and Semisonic otherwise does not."""

from __future__ import annotations

from importlib import import_module

from semisonic.base.errors import OptionError

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


def require_onnx() -> None:
    """Raise OptionError unless ONNX files can be written and run here."""
    for name in LIBRARIES:
        try:
            import_module(name)
        except ImportError as error:
            raise OptionError(
                f"ONNX files need '{name}', which cannot be imported ({error}): "
                "pip install 'semisonic[export]', or write a torch program with '--to torch'"
            ) from error
