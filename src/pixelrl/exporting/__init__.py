"""Policies for runners without PyTorch: an ONNX file and JSON (``pixelrl-onnx`` runs them)."""
