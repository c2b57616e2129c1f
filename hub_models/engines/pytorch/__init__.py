"""The PyTorch engine: models as PyTorch modules, made, loaded, saved, run and explained.

Only this folder imports PyTorch and the libraries around it (beside training and export). Nothing here is imported
before a model needs it, because the page runs without PyTorch where a checkpoint has its ONNX files.
"""
