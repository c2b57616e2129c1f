"""The engines that run networks: OpenVINO, ONNX Runtime and PyTorch."""
