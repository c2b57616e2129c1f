// One X-ray on the light box: its greys as a canvas, masks as outlines over it, heat maps between. Nothing here asks the
// server once the picture and the masks are there.

import { contours } from "./vendor/d3-contour.js";
import { readGreys } from "./png.js";

const SVG = "http://www.w3.org/2000/svg";
const PREVIEW_PIXELS = 1_500_000; // painted at most while a window is dragged; all of them once it is let go
const OPAQUE = 0xff000000;

export class Film {
  /** @param {HTMLElement} element the film: everything that moves and grows together */
  constructor(element) {
    this.element = element;
    this.canvas = element.querySelector("canvas.picture");
    this.svg = element.querySelector("svg");
    this.heat = element.querySelector("canvas.heat");
    this.context = this.canvas.getContext("2d");
    this.picture = null;
    this.layers = [];
    this.resetWindow();
  }

  /** Show nothing. */
  clear() {
    this.picture = null;
    this.layers = [];
    this.svg.replaceChildren();
    this.canvas.width = this.canvas.height = 1;
    this.showHeat(null);
  }

  /** Put a picture in place, as `readGreys` gives it, and its masks, as `loadLayers` gives them. */
  set(picture, layers) {
    this.picture = picture;
    this.layers = layers;
    this.svg.replaceChildren(...layers.map(outlineOf));
    this.showHeat(null);
    this.resetWindow();
    this.paint();
  }

  resetWindow() {
    this.window = { centre: 0.5, width: 1 }; // as shares of all greys that there may be
    this.inverted = false;
  }

  /** Paint the greys through the window. @param {boolean} preview whether a coarser picture will do for now */
  paint(preview = false) {
    if (!this.picture) return;
    const { width, height, greys } = this.picture;
    const step = preview ? Math.ceil(Math.sqrt((width * height) / PREVIEW_PIXELS)) : 1;
    const [columns, rows] = [Math.ceil(width / step), Math.ceil(height / step)];
    if (this.canvas.width !== columns || this.canvas.height !== rows) {
      [this.canvas.width, this.canvas.height] = [columns, rows];
      this.image = this.context.createImageData(columns, rows);
    }
    const [shades, pixels] = [this.shades(), new Uint32Array(this.image.data.buffer)];
    for (let y = 0, at = 0; y < rows; y++) {
      for (let x = 0, from = y * step * width; x < columns; x++, from += step) pixels[at++] = shades[greys[from]];
    }
    this.context.putImageData(this.image, 0, 0);
  }

  /** The colour, as a canvas holds it, of each grey that there may be. */
  shades() {
    const count = 2 ** this.picture.bits;
    const shades = new Uint32Array(count);
    const { centre, width } = this.window;
    const scale = 255 / (Math.max(width, 1 / count) * (count - 1));
    const low = (centre - width / 2) * (count - 1);
    for (let grey = 0; grey < count; grey++) {
      const shade = Math.min(255, Math.max(0, Math.round((grey - low) * scale)));
      shades[grey] = OPAQUE | ((this.inverted ? 255 - shade : shade) * 0x010101);
    }
    return shades;
  }

  /** Lay a heat map over the picture, or none. @param {{rows: number, columns: number, rgba: Uint8ClampedArray}} heat */
  showHeat(heat) {
    this.heat.hidden = !heat;
    if (!heat) return;
    [this.heat.width, this.heat.height] = [heat.columns, heat.rows];
    this.heat.getContext("2d").putImageData(new ImageData(heat.rgba, heat.columns, heat.rows), 0, 0);
  }

  /** Show or hide one layer. */
  toggle(name, shown) {
    this.svg.querySelector(`[data-layer="${CSS.escape(name)}"]`)?.classList.toggle("hidden", !shown);
  }

  /** Draw the outline of a layer again, whose mask was changed. */
  redraw(layer) {
    const before = this.svg.querySelector(`[data-layer="${CSS.escape(layer.name)}"]`);
    const after = outlineOf(layer);
    after.classList.toggle("hidden", before?.classList.contains("hidden") ?? false);
    if (before) before.replaceWith(after);
    else this.svg.append(after);
  }

  /** Tell what is at a place, in shares of the film's sides: its pixel, grey, and each mask's probability. */
  readAt(right, down) {
    if (!this.picture || right < 0 || down < 0 || right >= 1 || down >= 1) return null;
    const { width, height, greys } = this.picture;
    const [x, y] = [Math.floor(right * width), Math.floor(down * height)];
    const layers = this.layers.map((layer) => ({ title: layer.title, share: shareAt(layer, right, down) }));
    return { x, y, grey: greys[y * width + x], layers };
  }
}

/** Read the masks of a film: each an 8-bit picture of how surely a pixel is inside, from `inside` up. */
export function loadLayers(layers) {
  return Promise.all(layers.map(async (layer) => ({ ...layer, surely: await readGreys(layer.address) })));
}

/** Colour a heat map: hotter is lighter, and more opaque. @param {string[]} colours "rrggbb", from cold to hot */
export async function loadHeat(address, colours, opacity) {
  const { width, height, greys } = await readGreys(address);
  const steps = colours.map((colour) => [0, 2, 4].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  const rgba = new Uint8ClampedArray(4 * greys.length);
  greys.forEach((grey, at) => {
    const place = (grey / 255) * (steps.length - 1);
    const below = Math.min(Math.floor(place), steps.length - 2);
    for (let c = 0; c < 3; c++) rgba[4 * at + c] = steps[below][c] + (place - below) * (steps[below + 1][c] - steps[below][c]);
    rgba[4 * at + 3] = opacity * grey;
  });
  return { rows: height, columns: width, rgba };
}

/** The probability of a mask at a place: `inside` stands for the threshold, from which the network's answer counts. */
function shareAt({ surely, inside, threshold }, right, down) {
  const at = Math.floor(down * surely.height) * surely.width + Math.floor(right * surely.width);
  const value = surely.greys[at];
  if (value < inside) return (value / inside) * threshold;
  return threshold + ((value - inside) / (255 - inside)) * (1 - threshold);
}

function outlineOf({ name, colour, tint, surely, inside }) {
  const { width, height, greys } = surely;
  const shape = contours().size([width, height]).thresholds([inside])(Float32Array.from(greys))[0];
  const path = document.createElementNS(SVG, "path");
  const point = ([x, y]) => `${(x / width).toFixed(5)},${(y / height).toFixed(5)}`;
  path.setAttribute("d", shape.coordinates.flat().map((ring) => `M${ring.map(point).join("L")}Z`).join(""));
  path.setAttribute("fill-rule", "evenodd");
  path.setAttribute("vector-effect", "non-scaling-stroke");
  path.dataset.layer = name;
  path.style.setProperty("--colour", colour);
  path.style.setProperty("--tint", tint);
  return path;
}
