"""A checkpoint's networks as ONNX files, for engines that are faster than PyTorch on a processor."""
