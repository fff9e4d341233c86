"""A trained model as a file that needs neither Semisonic nor torch.

``exportable`` is the one module that is written, ``program`` traces it, ``onnx_file`` and
``torch_file`` write it, ``quantizing`` makes eight bits of it; ``parity`` compares the file with
the model, ``speed`` times both, ``telling`` says what stands in it, ``writing`` puts all in order.
"""
