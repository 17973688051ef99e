// A photo may be stored on its side, and say so (EXIF's orientation). It is shown upright; its pixels stay as they are.

// By orientation: what of the stored x and y goes into the shown x, then into the shown y.
const axes = {
  1: [1, 0, 0, 1], 2: [-1, 0, 0, 1], 3: [-1, 0, 0, -1], 4: [1, 0, 0, -1],
  5: [0, 1, 1, 0], 6: [0, -1, 1, 0], 7: [0, -1, -1, 0], 8: [0, 1, -1, 0],
};

// How a picture of this stored size is shown.
export function turns(orientation, width, height) {
  const [xx, xy, yx, yy] = axes[orientation] ?? axes[1], swaps = xx === 0;
  const shownWidth = swaps ? height : width, shownHeight = swaps ? width : height;
  const left = xx + xy < 0 ? shownWidth : 0, top = yx + yy < 0 ? shownHeight : 0;
  return {
    width: shownWidth,
    height: shownHeight,
    swaps, // whether rows are shown as columns
    matrix: [xx, yx, xy, yy, left, top], // as canvases take it
    shown: (x, y) => [xx * x + xy * y + left, yx * x + yy * y + top],
    stored: (x, y) => [xx * (x - left) + yx * (y - top), xy * (x - left) + yy * (y - top)],
    storedStep: (dx, dy) => [xx * dx + yx * dy, xy * dx + yy * dy],
  };
}
