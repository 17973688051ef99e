"""PixelRL in napari: run a policy on a layer, see the operation of every pixel as labels, paint over them, replay."""

__version__ = "0.1.0"
