#!/usr/bin/env python3
"""PixelRL in GIMP 3: the chosen layer, cleaned, and the operation of every pixel at every step, as new layers.

The layer is exported, the command ``pixelrl`` works on it, and what it writes comes back. Copy this file to
``plug-ins/pixelrl/pixelrl.py`` in GIMP's folder of settings, and make it executable.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, Gio, GLib, GObject  # noqa: E402

NAME = "plug-in-pixelrl"


def command(program: str, options: str, source: str, result: str, trace: str) -> list[str]:
    """The words of the command that works on a picture: ``pixelrl denoise ...``."""
    return [program, *shlex.split(options), source, "-o", result, "--trace", trace, "--overwrite"]


def call(words: list[str]) -> None:
    """Carry a command out.

    Raises:
        RuntimeError: it is not there, or it failed; the message is for people.
    """
    # GIMP's own Python has settings that another one must not see.
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=kept)
    except OSError as error:
        reason = f"{words[0]} cannot be started ({error.strerror}); install PixelRL, or give its path"
        raise RuntimeError(reason) from error
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"{words[0]} failed with the code {done.returncode}")


def exported(image: Gimp.Image, layer: Gimp.Drawable, path: str) -> None:
    """Write a layer, as large as it is and in the depth of its image, as a PNG."""
    size = (layer.get_width(), layer.get_height())
    alone = Gimp.Image.new_with_precision(*size, image.get_base_type(), image.get_precision())
    try:
        profile = image.get_color_profile()
        if profile is not None:
            alone.set_color_profile(profile)
        copy = Gimp.Layer.new_from_drawable(layer, alone)
        alone.insert_layer(copy, None, 0)
        copy.set_offsets(0, 0)
        copy.set_opacity(100)
        copy.set_visible(True)
        if not Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, alone, Gio.File.new_for_path(path), None):
            raise RuntimeError("the layer cannot be exported as PNG")
    finally:
        alone.delete()


def added(image: Gimp.Image, path: str, name: str, place: tuple[int, int], parent: Gimp.Layer | None) -> Gimp.Layer:
    """A picture as a new layer at a place of the image, in a group or on top."""
    layer = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(path))
    layer.set_name(name)
    image.insert_layer(layer, parent, 0)
    layer.set_offsets(*place)
    return layer


def work(image: Gimp.Image, layer: Gimp.Drawable, program: str, options: str, maps: bool) -> None:
    """Let `pixelrl` work on a layer, and add what comes of it above it.

    Raises:
        RuntimeError: something of it failed; the message is for people.
    """
    _, across, down = layer.get_offsets()
    with tempfile.TemporaryDirectory(prefix="pixelrl") as folder:
        source, result, trace = (os.path.join(folder, name) for name in ("layer.png", "result.png", "trace.npz"))
        exported(image, layer, source)
        call(command(program, options, source, result, trace))
        shown = os.path.join(folder, "maps")
        if maps:
            call([program, "show", trace, "-o", os.path.join(folder, "strip.png"), "--maps", shown])
        image.undo_group_start()
        try:
            if maps:
                group = Gimp.GroupLayer.new(image, f"{layer.get_name()}: operations")
                image.insert_layer(group, None, 0)
                for file in sorted(os.listdir(shown), reverse=True):
                    name = os.path.splitext(file)[0].replace("-", " ")
                    added(image, os.path.join(shown, file), name, (across, down), group)
                group.set_visible(False)
            added(image, result, f"{layer.get_name()}: {options.split(' ')[0]}", (across, down), None)
        finally:
            image.undo_group_end()


class PixelRL(Gimp.PlugIn):
    """The plug-in, as GIMP asks for it."""

    def do_query_procedures(self) -> list[str]:
        """Its procedures."""
        return [NAME]

    def do_set_i18n(self, name: str) -> bool:
        """Its words are not translated."""
        return False

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        """Its procedure, with what a person is asked."""
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.run, None)
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
        procedure.set_menu_label("Let every pixel act (PixelRL)...")
        procedure.add_menu_path("<Image>/Filters/Enhance")
        procedure.set_documentation(
            "Every pixel picks, step by step, one named operation",
            "Exports the layer, calls the command pixelrl, and adds the result and the maps of operations as layers.",
            name,
        )
        procedure.set_attribution("The PixelRL authors", "MIT", "2026")
        both = GObject.ParamFlags.READWRITE
        found = shutil.which("pixelrl") or "pixelrl"
        procedure.add_string_argument("program", "_Program", "The command, or its path", found, both)
        procedure.add_string_argument(
            "options",
            "_What to do",
            "A command of pixelrl and its options, such as: denoise --sigma 20",
            "denoise",
            both,
        )
        procedure.add_boolean_argument("maps", "_Maps", "Add the operations of every step as layers", True, both)
        return procedure

    def run(self, procedure, run_mode, image, drawables, config, data):  # type: ignore[no-untyped-def]
        """Called by GIMP, from its menu or from a script."""
        if len(drawables) != 1:
            return self.failed(procedure, "choose one layer", Gimp.PDBStatusType.CALLING_ERROR)
        if run_mode == Gimp.RunMode.INTERACTIVE:
            gi.require_version("GimpUi", "3.0")
            from gi.repository import GimpUi

            GimpUi.init(NAME)
            dialog = GimpUi.ProcedureDialog.new(procedure, config, "PixelRL")
            dialog.fill(None)
            if not dialog.run():
                return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
            dialog.destroy()
        Gimp.progress_init("Every pixel acts")
        Gimp.progress_pulse()
        try:
            program, options, maps = (config.get_property(name) for name in ("program", "options", "maps"))
            work(image, drawables[0], program, options, maps)
        except RuntimeError as error:
            return self.failed(procedure, str(error), Gimp.PDBStatusType.EXECUTION_ERROR)
        Gimp.displays_flush()
        return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())

    def failed(self, procedure: Gimp.Procedure, message: str, status: Gimp.PDBStatusType) -> Gimp.ValueArray:
        """What GIMP is told of a failure."""
        return procedure.new_return_values(status, GLib.Error.new_literal(Gimp.PlugIn.error_quark(), message, 0))


if __name__ == "__main__":
    Gimp.main(PixelRL.__gtype__, sys.argv)
