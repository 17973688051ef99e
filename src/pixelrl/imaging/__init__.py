"""Pure functions on image tensors: colour, filters, metrics, noise, saliency."""
